"""What goes wrong on a simulated host: a table of faults, drawn with the host's own dice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from fifo.model.errors import DriverFailed, NoRoom, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fifo.model.errors import FifoError

Kind = Literal[
    "error", "disk_full", "half", "hang", "lost_reply", "exit", "deaf", "broken",
]  # fmt: skip

GUEST: Final = "guest"
"""The verb of what a guest does by itself: it has an `exit` some time after its start."""
EVENTS: Final = "events"
"""The verb of the event stream: `broken` some time after each subscription."""


class Fault(NamedTuple):
    """One line of the table: with which chance a verb goes wrong, for whom, and how.

    `error` and `disk_full` do nothing and fail, `half` fails in the middle of a create, `hang`
    waits until it is given up, `lost_reply` fails after the work was done. `exit` ends a guest
    `after_s` seconds after its start with `code` or by `signal`; a `stop` meets `deaf` guests.
    `broken` ends sight of the host `after_s` after a subscription, for `lasts_s` seconds (0: for
    ever). `times` bounds how often it strikes; 0 is no bound.
    """

    verb: str
    kind: Kind
    chance: float = 1.0
    uid: str = ""
    image: str = ""
    times: int = 0
    after_s: float = 0.0
    lasts_s: float = 0.0
    code: int | None = 1
    signal: int | None = None
    text: str = "it was told to fail"


class Faults:
    """The table of one host; tests change it while the host runs."""

    def __init__(self, table: Iterable[Fault], draw: Callable[[], float]) -> None:
        self._draw = draw
        self._by_verb: dict[str, list[Fault]] = {}
        self._left: dict[Fault, int] = {}
        for fault in table:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """Let this go wrong from now on."""
        self._by_verb.setdefault(fault.verb, []).append(fault)
        if fault.times:
            self._left[fault] = self._left.get(fault, 0) + fault.times

    def clear(self) -> None:
        """Let nothing go wrong any more; what hangs goes on hanging."""
        self._by_verb.clear()
        self._left.clear()

    def strike(self, verb: str, uid: str = "", image: str = "") -> Fault | None:
        """Draw whether a verb goes wrong now; gives the first fault that strikes."""
        table = self._by_verb.get(verb)
        if not table:
            return None
        for fault in table:
            if (fault.uid and fault.uid != uid) or (fault.image and fault.image != image):
                continue
            if fault.chance < 1.0 and self._draw() >= fault.chance:
                continue
            if fault.times and not self._spend(fault):
                continue
            return fault
        return None

    def _spend(self, fault: Fault) -> bool:
        left = self._left.get(fault, 0)
        self._left[fault] = max(0, left - 1)
        return left > 0


def error_of(fault: Fault, subject: str) -> FifoError:
    """Make the error that a caller sees of a fault."""
    if fault.kind == "disk_full":
        return NoRoom("no space left on the host's disk", subject, "delete instances or images")
    if fault.kind == "lost_reply":
        return Unavailable("the host's answer was lost", subject, "look whether it was done")
    return DriverFailed(f"{fault.verb}: {fault.text}", subject, "see the host's log")
