"""Times, durations and scalars between the model and protobuf's well-known types."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.struct_pb2 import Struct
    from google.protobuf.timestamp_pb2 import Timestamp

    from fifo.model.instance import Scalar

_NANOS = 1_000_000_000
_EXACT = 2**53
"""Integers up to here are exact in a Struct's double."""


def set_time(into: Timestamp, utc: float) -> None:
    """Write UTC seconds, to the microsecond; a time of 0 is none and stays absent."""
    if utc:
        micros = round(utc * 1_000_000)
        into.seconds, rest = divmod(micros, 1_000_000)
        into.nanos = rest * 1_000


def seconds_of(duration: Duration) -> float:
    """Read a duration as seconds."""
    # One division rounds once: what was written as 2.460221 s is read as that.
    return (duration.seconds * _NANOS + duration.nanos) / _NANOS


def set_duration(into: Duration, seconds: float) -> None:
    """Write seconds as a duration, to the microsecond."""
    micros = round(seconds * 1_000_000)
    into.seconds, rest = divmod(micros, 1_000_000)
    into.nanos = rest * 1_000


def set_scalars(into: Struct, scalars: Mapping[str, Scalar]) -> None:
    """Write tags or metadata."""
    fields = into.fields
    for key, value in scalars.items():
        if isinstance(value, bool):
            fields[key].bool_value = value
        elif isinstance(value, str):
            fields[key].string_value = value
        else:
            fields[key].number_value = value


def scalars_of(struct: Struct) -> dict[str, Scalar]:
    """Read tags or metadata; the request was validated, so all values are scalars.

    A whole number comes back as an integer, as it was in vmadm's JSON.
    """
    read: dict[str, Scalar] = {}
    for key, value in struct.fields.items():
        kind = value.WhichOneof("kind")
        if kind == "number_value":
            number = value.number_value
            whole = number.is_integer() and abs(number) <= _EXACT
            read[key] = int(number) if whole else number
        else:
            read[key] = value.bool_value if kind == "bool_value" else value.string_value
    return read


def etag(raw: bytes) -> str:
    """Give the etag of a record: it holds what is settable, and the generation."""
    return f'"{hashlib.blake2b(raw, digest_size=8).hexdigest()}"'


def canonical(scalars: Mapping[str, Scalar]) -> int:
    """Give the bytes that tags or metadata take when they are written down."""
    return len(json.dumps(dict(scalars)).encode())
