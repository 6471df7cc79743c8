"""Tags and metadata: how many bytes an instance may have of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fifo.model import limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fifo.model.vmadm.findings import Findings

METADATA: Final = ("customer_metadata", "internal_metadata")
_QUOTES: Final = 6
"""Bytes around an entry when it is written down."""


def check_metadata(fields: Mapping[str, Any], found: Findings) -> None:
    """Check the bytes of tags, and of all metadata together."""
    for names in (METADATA, ("tags",)):
        size = sum(_bytes(fields.get(name) or {}) for name in names)
        if size > limits.METADATA_BYTES:
            told = f"at most {limits.METADATA_BYTES} bytes in {' and '.join(names)}, not {size}"
            found.refuse(names[0], told)


def _bytes(scalars: Mapping[str, Any]) -> int:
    return sum(len(key.encode()) + len(str(own).encode()) + _QUOTES for key, own in scalars.items())
