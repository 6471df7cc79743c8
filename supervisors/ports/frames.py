"""Length-prefixed JSON: how a node and its port workers talk.

A frame is four bytes of length, big-endian, and that many bytes of JSON. Pure functions of values,
and nothing but the standard library: the workers load this file without the package around it
(see `zygote`), so its errors are ValueError and TypeError, for the port to name.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

HEADER: Final = struct.Struct(">I")
ANY_SIZE: Final = 2**32 - 1
"""The bound of who trusts the other side, as a worker trusts the node that started it."""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def encode(value: Any, limit_bytes: int) -> bytes:
    """Give the body of a frame, without its length.

    Raises TypeError or ValueError for what is no JSON value (NaN and cycles among them), and
    ValueError for a body larger than `limit_bytes`. Tuples become lists and keys become strings,
    as in all JSON.
    """
    try:
        body = _ENCODER.encode(value).encode("ascii")
    except RecursionError:
        raise ValueError("nested too deep for JSON") from None
    if len(body) > limit_bytes:
        raise ValueError(f"{len(body)} bytes of JSON, at most {limit_bytes} are allowed")
    return body


def decode(body: bytes) -> dict[str, Any]:
    """Give the object in the body of a frame; raises ValueError for anything else."""
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep for JSON") from None
    if isinstance(value, dict):
        return value
    raise ValueError(f"a frame holds an object, this one a {type(value).__name__}")


def frame(body: bytes) -> bytes:
    """Put the length in front of a body."""
    return HEADER.pack(len(body)) + body


class Decoder:
    """Cuts a stream of bytes into the bodies of frames, however it arrives."""

    __slots__ = ("_limit_bytes", "_received")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._received = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take some bytes and give the bodies that are whole now, in order.

        Raises ValueError as soon as a length above the bound is announced, before its body is
        kept; the stream is of no use after that.
        """
        received = self._received
        received += data
        bodies: list[bytes] = []
        start = 0
        while len(received) - start >= HEADER.size:
            (size,) = HEADER.unpack_from(received, start)
            if size > self._limit_bytes:
                raise ValueError(
                    f"a frame of {size} bytes is announced, at most {self._limit_bytes} are allowed"
                )
            end = start + HEADER.size + size
            if len(received) < end:
                break
            bodies.append(bytes(received[start + HEADER.size : end]))
            start = end
        if start:
            del received[:start]
        return bodies
