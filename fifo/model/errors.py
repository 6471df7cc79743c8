"""The one tree of errors: each says what happened, to what, and what to do next.

`fifo.api.status` maps the classes to gRPC's codes by one table; the CLI prints the three parts. A
class is a kind of failure that callers treat alike, `reason` the exact one, for programs.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple


class FifoError(Exception):
    """The root: `what` happened to `subject`, and the `remedy`.

    `reason` is a constant for programs (UPPER_SNAKE, AIP-193), by default the class's own;
    `details` are the variable parts of the text, for programs too.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        what: str,
        subject: str = "",
        remedy: str = "",
        *,
        reason: str | None = None,
        details: dict[str, str] | None = None,
    ) -> None:
        super().__init__(what, subject, remedy)
        self.what = what
        self.subject = subject
        self.remedy = remedy
        self.reason_text = reason or self.reason
        self.details = details or {}

    def __str__(self) -> str:
        head = f"{self.subject}: {self.what}" if self.subject else self.what
        return f"{head}; {self.remedy}" if self.remedy else head


class Violation(NamedTuple):
    """One thing that is wrong with a request: the path of the field and what is wanted."""

    field: str
    wanted: str


class InvalidInput(FifoError):
    """A request that can never succeed as it stands; `violations` lists all that is wrong."""

    reason = "INVALID_INPUT"

    def __init__(self, subject: str, violations: tuple[Violation, ...]) -> None:
        super().__init__(f"not valid ({_listed(violations)})", subject, "correct the named fields")
        self.violations = violations


LISTED: Final = 8
"""Violations that a text tells, the rest is counted: what anybody reads in one line."""
LISTED_CHARACTERS: Final = 320
"""Characters of them, so that the text stays whole in a status (`fifo.api.limits`)."""


def _listed(violations: tuple[Violation, ...]) -> str:
    """Tell the first violations, at least one."""
    told: list[str] = []
    left = LISTED_CHARACTERS
    for path, wanted in violations[:LISTED]:
        text = f"{path}: {wanted}"
        if told and len(text) > left:
            break
        told.append(text if len(text) <= left else f"{text[: left - 1]}…")
        left -= len(text)
    more = len(violations) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


class RequestIdReused(InvalidInput):
    """A request id that came with another request before, of the same caller and method."""

    reason = "REQUEST_ID_REUSED"

    def __init__(self, subject: str) -> None:
        super().__init__(subject, (Violation("request_id", "one that no other request had"),))


class NotFound(FifoError):
    """What is named does not exist, or the caller may not see it."""

    reason = "NOT_FOUND"


class AlreadyExists(FifoError):
    """What should be made is there already."""

    reason = "ALREADY_EXISTS"


class WrongState(FifoError):
    """The resource is in a state that does not allow this; the text names the state."""

    reason = "WRONG_STATE"


class Unsupported(FifoError):
    """This host, brand or storage cannot do it at all; the text says why."""

    reason = "UNSUPPORTED"


class Conflict(FifoError):
    """Somebody else changed it first: read again and repeat."""

    reason = "CONFLICT"


class Busy(Conflict):
    """Another operation holds the resource."""

    reason = "RESOURCE_BUSY"


class NoRoom(FifoError):
    """A quota, a host's capacity, a pool or a disk is used up."""

    reason = "NO_ROOM"


class Unavailable(FifoError):
    """It cannot be asked now; repeating it later is harmless and may succeed.

    `retry_after_s` is how long to wait before that.
    """

    reason = "UNAVAILABLE"

    def __init__(
        self,
        what: str,
        subject: str = "",
        remedy: str = "try again",
        *,
        retry_after_s: float = 1.0,
        reason: str | None = None,
        details: dict[str, str] | None = None,
    ) -> None:
        super().__init__(what, subject, remedy, reason=reason, details=details)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(FifoError):
    """It was not done in time; whether it was done at all has to be looked up."""

    reason = "DEADLINE_EXCEEDED"


class Cancelled(FifoError):
    """Somebody asked for it to be given up, and it was undone."""

    reason = "CANCELLED"


class Unauthenticated(FifoError):
    """Who calls could not be told."""

    reason = "UNAUTHENTICATED"


class Forbidden(FifoError):
    """Who calls may not do this to what they can see."""

    reason = "FORBIDDEN"


class HistoryGone(FifoError):
    """A watch was asked to go on from a moment that is no longer kept: take a snapshot."""

    reason = "RESUME_TOKEN_EXPIRED"


class DataLoss(FifoError):
    """Stored bytes are not what was written."""

    reason = "DATA_LOSS"


class DriverFailed(FifoError):
    """The host was asked and refused or failed; the text carries its words."""

    reason = "DRIVER_FAILED"


class NotReady(FifoError):
    """The machine lacks something that is needed to start; the remedy names it."""

    reason = "NOT_READY"


# -- the store ------------------------------------------------------------------------------------


class StoreLimit(InvalidInput):
    """A request to the store is over one of its limits (`fifo.store.limits`); nothing was done."""

    reason = "STORE_LIMIT"

    def __init__(self, limit: str, value: int, bound: int) -> None:
        super().__init__("store request", (Violation(limit, f"{value}, at most {bound}"),))
        self.limit = limit
        self.value = value
        self.bound = bound
        self.details = {"limit": limit, "value": str(value), "bound": str(bound)}


class Compacted(HistoryGone):
    """The revision asked for is older than the history that the store still has."""

    def __init__(self, revision: int, compacted: int) -> None:
        super().__init__(
            f"the history before revision {compacted} is gone",
            f"revision {revision}",
            "take a snapshot and watch from its revision",
            details={"revision": str(revision), "compacted": str(compacted)},
        )
        self.compacted = compacted


class FutureRevision(InvalidInput):
    """The revision asked for is not reached yet: it is from another store or incarnation."""

    reason = "FUTURE_REVISION"

    def __init__(self, revision: int, last: int) -> None:
        super().__init__(
            f"revision {revision}", (Violation("revision", f"at most {last}, the last one"),)
        )


class LeaseNotFound(NotFound):
    """The lease has ended or never was; what it guarded has other owners now."""

    reason = "LEASE_NOT_FOUND"

    def __init__(self, lease: int) -> None:
        super().__init__("it has ended", f"lease {lease:016x}", "stop acting; grant a new one")


class StoreFull(NoRoom):
    """The disk or the store's own bound is reached: the commit was not done, nothing is lost."""

    reason = "STORE_FULL"


class StoreOverloaded(Unavailable):
    """Too many commits or reads wait already; this one was not done."""

    reason = "STORE_OVERLOADED"


class StoreClosed(Unavailable):
    """The store was closed, or has failed and has to be opened again; nothing was done."""

    reason = "STORE_CLOSED"


class OutcomeUnknown(FifoError):
    """The commit may have been done or not: read before doing it again."""

    reason = "OUTCOME_UNKNOWN"


class StoreCorrupt(DataLoss):
    """The store's files are not what was written."""

    reason = "STORE_CORRUPT"


class StoreUnusable(NotReady):
    """The store cannot be opened as it is; the remedy says what to do first."""

    reason = "STORE_UNUSABLE"


class StoreTaken(StoreUnusable):
    """Another node has the data directory open."""

    reason = "STORE_TAKEN"


class StoreDenied(StoreUnusable):
    """The node may not read or write the data directory."""

    reason = "STORE_DENIED"


class StoreTooNew(StoreUnusable):
    """The data directory was written by a newer version, which this one cannot read."""

    reason = "STORE_TOO_NEW"
