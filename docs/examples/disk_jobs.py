"""What the workers of the guide's disk port can do; imported by the workers, not by the node."""

from __future__ import annotations

import hashlib


def checksum(text: str) -> str:
    """Give the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


PORT_FUNCTIONS = {"checksum": checksum}
