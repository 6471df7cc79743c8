"""The one table from our errors to google.rpc codes and details (AIP-193).

Every status carries an ErrorInfo; the details that its kind calls for follow. The whole stays
below `limits.STATUS_BYTES`, because it travels in trailing metadata, which gRPC bounds.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from fifo.api import limits
from fifo.model import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message

    from fifo.model.errors import FifoError

DOMAIN: Final = "fifo"
DETAILS_KEY: Final = "grpc-status-details-bin"

Code = grpc.StatusCode

CODES: Final[Mapping[type[FifoError], grpc.StatusCode]] = MappingProxyType(
    {
        errors.FifoError: Code.INTERNAL,
        errors.InvalidInput: Code.INVALID_ARGUMENT,
        errors.NotFound: Code.NOT_FOUND,
        errors.AlreadyExists: Code.ALREADY_EXISTS,
        errors.WrongState: Code.FAILED_PRECONDITION,
        errors.Unsupported: Code.FAILED_PRECONDITION,
        errors.NotReady: Code.FAILED_PRECONDITION,
        errors.Conflict: Code.ABORTED,
        errors.NoRoom: Code.RESOURCE_EXHAUSTED,
        errors.Unavailable: Code.UNAVAILABLE,
        errors.DeadlineExceeded: Code.DEADLINE_EXCEEDED,
        errors.Cancelled: Code.CANCELLED,
        errors.Unauthenticated: Code.UNAUTHENTICATED,
        errors.Forbidden: Code.PERMISSION_DENIED,
        errors.HistoryGone: Code.OUT_OF_RANGE,
        errors.FutureRevision: Code.OUT_OF_RANGE,
        errors.DataLoss: Code.DATA_LOSS,
        # The host's own words, or an outcome that nobody knows: neither is the caller's fault nor
        # safe to repeat blindly.
        errors.DriverFailed: Code.UNKNOWN,
        errors.OutcomeUnknown: Code.UNKNOWN,
        # A lease is the node's own affair; to the caller somebody else was first.
        errors.LeaseNotFound: Code.ABORTED,
    }
)
"""Class -> code; a class that is not here has its base's."""

CODE_NUMBERS: Final = MappingProxyType({code: code.value[0] for code in grpc.StatusCode})

CONFLICT_RETRY_S: Final = 0.1
"""Wait before a lost race is run again: about a commit."""
_KEY: Final = re.compile(r"[^a-zA-Z0-9_.-]+")


def code_of(error: FifoError) -> grpc.StatusCode:
    """Give the code of an error: its class's, or that of the nearest base in the table."""
    for kind in type(error).__mro__:
        code = CODES.get(kind)
        if code is not None:
            return code
    return Code.INTERNAL


def status_of(error: FifoError) -> status_pb2.Status:
    """Make the whole status of an error, below the bound on its size."""
    violations = limits.VIOLATIONS
    while True:
        status = status_pb2.Status(
            code=CODE_NUMBERS[code_of(error)],
            message=_message(error),
            details=[_packed(detail) for detail in _details(error, violations)],
        )
        if status.ByteSize() <= limits.STATUS_BYTES or not violations:
            return status
        violations //= 2


def of_bug(request_id: str) -> status_pb2.Status:
    """Make the status of a failure that nobody foresaw; its traceback stays on the node."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN)
    asked = error_details_pb2.RequestInfo(request_id=request_id)
    return status_pb2.Status(
        code=code_pb2.INTERNAL,
        message=f"a bug in FiFo; the node's log tells it under {request_id}: please report it",
        details=[_packed(info), _packed(asked)],
    )


def retry_after(seconds: float) -> error_details_pb2.RetryInfo:
    """Say when a caller should try again."""
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(max(1, round(seconds * 1000)))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def _message(error: FifoError) -> str:
    """Give the text of an error; one that is too long loses of what happened, not of the remedy."""
    if not error.remedy:
        return _cut(str(error), limits.MESSAGE_BYTES)
    remedy = _cut(f"; {error.remedy}", limits.MESSAGE_BYTES // 2)
    head = str(error).removesuffix(f"; {error.remedy}")
    return _cut(head, limits.MESSAGE_BYTES - len(remedy.encode())) + remedy


# -- its parts ------------------------------------------------------------------------------------


def _details(error: FifoError, violations: int) -> Iterator[Message]:
    yield _info(error)
    match error:
        case errors.InvalidInput():
            yield _bad_request(error, violations)
        case errors.WrongState() | errors.Unsupported() | errors.NotReady():
            yield _precondition(error)
        case errors.NotFound() | errors.AlreadyExists():
            yield _resource(error)
        case errors.NoRoom():
            yield _quota(error)
        case errors.Conflict():
            yield retry_after(CONFLICT_RETRY_S)
        case errors.Unavailable():
            yield retry_after(error.retry_after_s)
        case _:
            pass


def _info(error: FifoError) -> error_details_pb2.ErrorInfo:
    metadata = {"subject": error.subject, "remedy": error.remedy, **error.details}
    kept = [(key, value) for key, value in metadata.items() if value]
    return error_details_pb2.ErrorInfo(
        reason=error.reason_text[:63],
        domain=DOMAIN,
        metadata={
            _KEY.sub("_", key)[:64]: _cut(value, limits.DETAIL_BYTES)
            for key, value in kept[: limits.DETAILS]
        },
    )


def _bad_request(error: errors.InvalidInput, most: int) -> error_details_pb2.BadRequest:
    violation = error_details_pb2.BadRequest.FieldViolation
    listed = [
        violation(
            field=_cut(path, limits.VIOLATION_BYTES),
            description=_cut(f"wanted: {wanted}", limits.VIOLATION_BYTES),
        )
        for path, wanted in error.violations[:most]
    ]
    left = len(error.violations) - len(listed)
    if left:
        listed.append(violation(field="", description=f"and {left} more"))
    return error_details_pb2.BadRequest(field_violations=listed)


def _precondition(error: FifoError) -> error_details_pb2.PreconditionFailure:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=error.reason_text,
        subject=_cut(error.subject, limits.DETAIL_BYTES),
        description=_cut(error.what, limits.DETAIL_BYTES),
    )
    return error_details_pb2.PreconditionFailure(violations=[violation])


def _resource(error: FifoError) -> error_details_pb2.ResourceInfo:
    return error_details_pb2.ResourceInfo(
        resource_type=_type_of(error.subject),
        resource_name=_cut(error.subject, limits.DETAIL_BYTES),
        description=_cut(error.what, limits.DETAIL_BYTES),
    )


_TYPES: Final = MappingProxyType(
    {
        "addresses": "fifo/Address",
        "snapshots": "fifo/Snapshot",
        "instances": "fifo/Instance",
        "hypervisors": "fifo/Hypervisor",
        "images": "fifo/Image",
        "packages": "fifo/Package",
        "networks": "fifo/Network",
        "operations": "google.longrunning/Operation",
    }
)


def _type_of(name: str) -> str:
    """Tell the type of a resource by the last collection in its name."""
    parts = name.split("/")
    return next((_TYPES[part] for part in reversed(parts) if part in _TYPES), "")


def _quota(error: FifoError) -> error_details_pb2.QuotaFailure:
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=_cut(error.subject, limits.DETAIL_BYTES),
        description=_cut(error.what, limits.DETAIL_BYTES),
    )
    return error_details_pb2.QuotaFailure(violations=[violation])


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _cut(text: str, most: int) -> str:
    """Cut a text to so many bytes of UTF-8, between characters."""
    data = text.encode()
    return text if len(data) <= most else data[: most - 3].decode(errors="ignore") + "…"
