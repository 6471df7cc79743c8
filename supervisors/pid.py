"""Process identity as a value."""

from __future__ import annotations

from typing import NamedTuple


class Pid(NamedTuple):
    """The address of one life of one process: never reused, safe to store and to send.

    `creation` tells one incarnation of a node from the next, so that a message for a process of
    the last incarnation never reaches a process of this one (OTP: the creation of a pid).
    """

    node: str
    creation: int
    serial: int

    def __str__(self) -> str:
        return f"<{self.node}.{self.creation}.{self.serial}>"
