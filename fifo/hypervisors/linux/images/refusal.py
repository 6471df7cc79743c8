"""The words in which an image is not taken, the same wherever it comes from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model.errors import NoRoom

if TYPE_CHECKING:
    from fifo.model.image import Image


def too_large(most_bytes: int, subject: str) -> NoRoom:
    """Say that the file, layout or download of an image is over its bound."""
    return NoRoom(
        f"more than the {most_bytes} bytes that its file may have", subject,
        "raise --max-size, or the node's image_download_bytes if that is what holds it",
    )  # fmt: skip


def unpacks_to_too_much(told: str, image: Image) -> NoRoom:
    """Say that what is in an image is over its bound."""
    return NoRoom(
        told, image.uid,
        "raise --max-unpacked-size, or the node's image_unpacked_bytes and image_entries if those"
        " are what holds it",
    )  # fmt: skip
