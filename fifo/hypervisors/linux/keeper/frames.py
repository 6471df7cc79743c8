"""Length-prefixed JSON: how the keeper and its clients talk.

A frame is four bytes of length, big-endian, and that many bytes of one JSON object in UTF-8. Pure
functions of values; both sides use this module. Bytes within the JSON travel as base64 text.
"""

from __future__ import annotations

import json
import struct
from typing import Any, Final

from fifo.hypervisors.linux.keeper.limits import FRAME_BYTES_MAX

HEADER: Final = struct.Struct(">I")


class FrameError(ValueError):
    """The stream holds no frame at this place; it is of no use from here on."""


def encode(values: dict[str, Any]) -> bytes:
    """Give the frame of an object; raises FrameError if it is larger than a frame may be."""
    body = json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
    if len(body) > FRAME_BYTES_MAX:
        raise FrameError(f"{len(body)} bytes do not fit into a frame of {FRAME_BYTES_MAX}")
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> dict[str, Any]:
    """Give the object in a frame's body; raises FrameError for anything else."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame holds no JSON: {error}") from None
    if not isinstance(values, dict):
        raise FrameError(f"a frame holds an object, not a {type(values).__name__}")
    return values


class Decoder:
    """Cuts a stream into objects, however it arrives."""

    __slots__ = ("_received",)

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take some bytes and give the objects that are whole now, in order.

        Raises FrameError at the first that is malformed or announced too large, before its body is
        kept; objects before it in the same bytes are lost with it.
        """
        self._received += data
        objects: list[dict[str, Any]] = []
        start = 0
        while len(self._received) - start >= HEADER.size:
            (size_bytes,) = HEADER.unpack_from(self._received, start)
            if size_bytes > FRAME_BYTES_MAX:
                raise FrameError(f"a frame of {size_bytes} bytes, at most {FRAME_BYTES_MAX} fit")
            end = start + HEADER.size + size_bytes
            if len(self._received) < end:
                break
            objects.append(decode(bytes(self._received[start + HEADER.size : end])))
            start = end
        del self._received[:start]
        return objects
