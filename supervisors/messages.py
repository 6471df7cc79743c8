"""What the scheduler puts into mailboxes: message kinds, EXIT and DOWN."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

CAST: Final = 0
"""A request without an answer (gen_server:cast)."""
CALL: Final = 1
"""A request whose caller waits and shares the crash (gen_server:call)."""
INFO: Final = 2
"""Anything else: plain tells, timer messages, EXIT and DOWN (handle_info)."""
ASK: Final = 3
"""Pykka's ask: an exception goes to the asker and the process lives on."""
PYKKA: Final = 4
"""A tell of Pykka's own machinery: proxy messages and stop."""
RESUME: Final = 5
"""What a parked coroutine awaited has settled."""
CONTINUE: Final = 6
"""A continuation asked for by a result; runs before any other message."""
BEGIN: Final = 7
"""The init of a process that takes a turn of its own."""
EXIT: Final = 8
"""A trapped exit signal; becomes an `Exit` for handle_info unless it is the parent's."""
SYSTEM: Final = 9
"""A function to run in the process's turn (sys: get_state, replace_state)."""
TERMINATE: Final = 10
"""The terminate callback of a process that is ending."""
WAKE: Final = 11
"""A hibernated process gets a message."""
STEP: Final = 12
"""A function of the runtime to run in the process's turn, whose result counts as a handler's."""


class Exit(NamedTuple):
    """What a process that traps exits gets in handle_info: OTP's `{'EXIT', Sender, Reason}`."""

    sender: Any
    reason: Any


class Down(NamedTuple):
    """What a monitoring process gets once: OTP's `{'DOWN', Monitor, process, Object, Reason}`.

    `process` is the ref, or the name for a monitor by name.
    """

    monitor: Any
    process: Any
    reason: Any


class NodeUp(NamedTuple):
    """Sent to who monitors nodes, before any signal from the node (OTP: `{nodeup, Node}`)."""

    node: str
    creation: int


class NodeDown(NamedTuple):
    """Sent to who monitors nodes, after all signals from the node, `noconnection` included.

    `reason` is what ended the link: "timeout", "overflow", "new_creation" or "peer_lost".
    """

    node: str
    reason: str
