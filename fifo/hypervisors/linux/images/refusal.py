"""The words in which an image is not taken, the same wherever it comes from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model.errors import InvalidInput, NoRoom, Violation

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.model.errors import FifoError
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


def take_out_paths(error: FifoError, image: Image, place: Path) -> None:
    """Take out of an error's words where on the host the image is, and is made: `place`.

    The words of commands and of the system have such paths. Who reads them knows a file that the
    image comes from by its own name, or by the id that its upload has.
    """

    def told(text: str) -> str:
        text = text.replace(f"{place}/", "").replace(str(place), "its directory")
        if image.source.startswith("/"):
            text = text.replace(image.source, image.source.rstrip("/").rpartition("/")[2])
        return text

    error.what, error.subject = told(error.what), told(error.subject)
    error.details = {key: told(value) for key, value in error.details.items()}
    if isinstance(error, InvalidInput):
        error.violations = tuple(
            Violation(field, told(wanted)) for field, wanted in error.violations
        )
