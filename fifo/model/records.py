"""Stored records: structs with kind and version in their tag, and the upgrades of old versions.

A record is JSON that begins with `{"type": "instance_spec/1", ...}`. One of the present version is
decoded in one pass; the tag of any other sends it through `UPGRADES`, one step a version, on a
plain dict. A version that this code does not know is refused, never guessed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from fifo.model.errors import DataLoss, NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Record(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The base of everything that is stored; a subclass names its kind and version in its tag."""


class Value(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The base of what stands inside records and has no version of its own."""


R = TypeVar("R", bound=Record)
Raw = dict[str, Any]


def _without_nics(raw: Raw) -> Raw:
    """Leave out what a VM was started with: what is kept of every instance says that now."""
    return {name: value for name, value in raw.items() if name != "nics"} | {"type": "linux_vm/2"}


UPGRADES: Final[Mapping[str, Callable[[Raw], Raw]]] = {"linux_vm/1": _without_nics}
"""Old tag -> function that makes the record of the next version from it, tag included.

Each entry has a test with a record as that version wrote it (`tests/model/test_records.py`).
"""


def version_of(kind: type[Record]) -> int:
    """Give the version that records of a kind are written in."""
    return int(str(kind.__struct_config__.tag).rpartition("/")[2])


_encoder = msgspec.json.Encoder()


@functools.cache
def _decoder(kind: type[Record]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def encode(record: Record) -> bytes:
    """Make the bytes that are stored."""
    return _encoder.encode(record)


def decode(kind: type[R], data: bytes, key: str = "") -> R:
    """Read a record back, of whatever known version it was written in.

    Raises NotReady for a version from the future, DataLoss for what is no such record.
    """
    try:
        return _decoder(kind).decode(data)  # type: ignore[no-any-return]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_other(kind, data, key, error)


def _decode_other(kind: type[R], data: bytes, key: str, error: Exception) -> R:
    tag = str(kind.__struct_config__.tag)
    try:
        raw = upgrade(msgspec.json.decode(data), tag)
        return msgspec.convert(raw, kind)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as later:
        raise DataLoss(
            f"the stored record is not a {tag}: {later}", key, "restore the store from a backup"
        ) from error


def upgrade(raw: Raw, tag: str, upgrades: Mapping[str, Callable[[Raw], Raw]] = UPGRADES) -> Raw:
    """Bring a raw record to the version of `tag` step by step; raises NotReady for a newer one."""
    if not isinstance(raw, dict):
        raise TypeError("it is no object")
    kind, _, wanted = tag.partition("/")
    while raw.get("type") != tag:
        written = str(raw.get("type"))
        found, _, version = written.partition("/")
        step = upgrades.get(written)
        if step is not None:
            raw = step(raw)
            continue
        if found == kind and version.isdecimal() and int(version) > int(wanted):
            raise NotReady(
                f"the store holds {written}, this node reads up to {tag}",
                kind,
                "start the newer version of FiFo that wrote it",
            )
        raise TypeError(f"it says {written!r}")
    return raw
