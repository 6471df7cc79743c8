"""The words in which an image is not taken, the same wherever it comes from. Pure."""

from __future__ import annotations

from fifo.model.errors import NoRoom


def too_large(most_bytes: int, subject: str) -> NoRoom:
    """Say that the file, layout or download of an image is over its bound."""
    return NoRoom(
        f"more than the {most_bytes} bytes that its file may have", subject,
        "raise --max-size, or the node's image_download_bytes if that is what holds it",
    )  # fmt: skip
