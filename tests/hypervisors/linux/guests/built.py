"""Where the images lie that tests build: one place for the whole session."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path


@functools.cache
def directory() -> Path:
    """Give the directory, which goes with the session."""
    made = Path(tempfile.mkdtemp(prefix="fg"))
    atexit.register(shutil.rmtree, made)
    return made
