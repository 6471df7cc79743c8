"""Exit statuses, and errors as people read them: what happened, to what, what to do next."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

from fifo.cli.text import safe
from fifo.model.errors import FifoError, InvalidInput, NotFound, NotReady, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
DENIED: Final = 4
CONFLICT: Final = 5
UNAVAILABLE: Final = 6
NO_ROOM: Final = 7

BY_CODE: Final[dict[str, int]] = {
    "INVALID_ARGUMENT": USAGE,
    "OUT_OF_RANGE": USAGE,
    "NOT_FOUND": NOT_FOUND,
    "UNAUTHENTICATED": DENIED,
    "PERMISSION_DENIED": DENIED,
    "ALREADY_EXISTS": CONFLICT,
    "FAILED_PRECONDITION": CONFLICT,
    "ABORTED": CONFLICT,
    "UNAVAILABLE": UNAVAILABLE,
    "DEADLINE_EXCEEDED": UNAVAILABLE,
    "CANCELLED": FAILED,
    "RESOURCE_EXHAUSTED": NO_ROOM,
}
"""gRPC's code -> exit status; all others are FAILED. `fifo --help` does not list them: the manual
(docs/cli.md) does."""


class LocalFileError(FifoError):
    """A file of this machine that cannot be read or written; `status` is how the command ends."""

    reason = "LOCAL_FILE"

    def __init__(self, what: str, file: str, remedy: str, status: int) -> None:
        super().__init__(what, file, remedy)
        self.status = status


def in_words(told: str) -> str:
    """Give what a node says in the words of the command line, where it has its own."""
    for theirs, ours in _WORDS.items():
        told = told.replace(theirs, ours)
    return told


def report(error: BaseException, words: Callable[[str], str] = in_words) -> int | None:
    """Print an error for people and give its exit status; None for one that is a bug.

    `words` says what a node told in the caller's own words.
    """
    if isinstance(error, FifoError):
        what, lines = error.what, list[str]()
        if isinstance(error, InvalidInput) and len(error.violations) > 1:
            what = "not valid"
            lines = [f"{path}: wanted: {wanted}" for path, wanted in error.violations]
        _print(what, error.subject, error.remedy, lines)
        return _own_status(error)
    if hasattr(error, "code") and hasattr(error, "details") and callable(error.code):
        from grpc_status import rpc_status

        name = getattr(error.code(), "name", "UNKNOWN")
        status = rpc_status.from_call(error)
        if status is not None:
            return _tell(name, status, words)
        told = str(error.details() or name)
        _print(told, "", _of_line(told) or REMEDIES.get(name, ""), [])
        return BY_CODE.get(name, FAILED)
    return None


def _own_status(error: FifoError) -> int:
    """Give the exit status of an error that no node told."""
    if isinstance(error, LocalFileError):
        return error.status
    if isinstance(error, NotFound):
        return BY_CODE["NOT_FOUND"]
    if isinstance(error, InvalidInput):
        return USAGE
    return UNAVAILABLE if isinstance(error, (Unavailable, NotReady)) else FAILED


def report_status(status: Any) -> int:
    """Print the `google.rpc.Status` of a failed operation and give its exit status."""
    return _tell(_name_of(status), status)


def status_of(status: Any) -> int:
    """Give the exit status of a `google.rpc.Status` that is printed elsewhere."""
    return BY_CODE.get(_name_of(status), FAILED)


def _name_of(status: Any) -> str:
    import grpc

    names = {code.value[0]: code.name for code in grpc.StatusCode}
    return names.get(status.code, "UNKNOWN")


def _tell(name: str, status: Any, words: Callable[[str], str] = in_words) -> int:
    """Print what a node said, which says what to do as well, and give the exit status."""
    lines, text = list(_of_status(status)), status.message
    if len(lines) == 1:
        # It is in the text already.
        lines = []
    elif lines:
        text = _LISTED.sub("", text)
    remedy = REMEDIES[name] if name in _ALWAYS else ""
    _print(words(text), "", remedy, [words(line) for line in lines])
    return BY_CODE.get(name, FAILED)


_WORDS: Final = {"use force": "use --force", "use mode CONSOLE": "leave out --shell"}
"""What a node calls things, and how the command line does."""
REMEDIES: Final[dict[str, str]] = {
    "UNAVAILABLE": "is the node running? see `fifo serve --help`, or name it by --server",
    "UNAUTHENTICATED": "name a token with --token-file, or use the local socket",
    "PERMISSION_DENIED": "take a token that may do this: `fifo admin token reset` on the node",
    "DEADLINE_EXCEEDED": "raise --timeout, or look what became of it: `fifo operation list`",
    "UNIMPLEMENTED": "the node is older than this command: see `fifo admin info`",
    "INTERNAL": "`fifo support bundle` collects what a report of this needs",
    "RESOURCE_EXHAUSTED": "free something, or wait: see `fifo hypervisor list`",
}
"""What to do next, where no node said it: it was not reached, or is another program."""
_ALWAYS: Final = frozenset({"UNAUTHENTICATED", "INTERNAL"})
"""Where the command line knows of a way that the node does not."""
_LISTED: Final = re.compile(r"(?<=: not valid) \(.*(?=; correct the named fields$)", re.DOTALL)
"""What a message lists of violations, which stand one a line below it; a node may have cut it."""
_LINES: Final = {
    "CERTIFICATE_VERIFY_FAILED": "name the node's own CA with --ca: ca.crt in DATA/private/tls on"
    " the node",
    "Hostname Verification": "call the node by a name that its certificate has",
    "security handshaker": "give --ca a file of certificates (PEM): ca.crt in DATA/private/tls on"
    " the node",
    "WRONG_VERSION_NUMBER": "this port speaks no TLS: is it the node's API (7443 by default)?",
    "address lookup failed": "name the node as HOST:PORT or unix:PATH",
}
"""What gRPC says of a line that did not come to be, and what to do about it."""


def _of_line(told: str) -> str:
    return next((remedy for word, remedy in _LINES.items() if word in told), "")


def _of_status(status: Any) -> Iterator[str]:
    from google.rpc import error_details_pb2

    for detail in status.details:
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            for violation in bad.field_violations:
                # Of those that are only counted there is no field.
                head = f"{violation.field}: " if violation.field else ""
                yield f"{head}{violation.description}"
        elif detail.Is(error_details_pb2.PreconditionFailure.DESCRIPTOR):
            failure = error_details_pb2.PreconditionFailure()
            detail.Unpack(failure)
            for broken in failure.violations:
                yield f"{broken.type} {broken.subject}: {broken.description}"


def _print(what: str, subject: str, remedy: str, lines: list[str]) -> None:
    head = f"{subject}: {what}" if subject else what
    print(f"fifo: {safe(head)}", file=sys.stderr)
    for line in lines:
        print(f"  {safe(line)}", file=sys.stderr)
    if remedy:
        print(f"  {safe(remedy)}", file=sys.stderr)
