"""Logs: one line of JSON for each record, in files that are put aside when they are full.

What comes from outside is escaped by JSON's own rules, so that no name can end a line or colour a
terminal.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from io import TextIOWrapper

KEPT_FILES: Final = 5
"""Files that were put aside and are kept: with 10 MB each a week of a busy node."""
CHATTY: Final = ("supervisors", "uvicorn", "asyncio")
"""Who tells of every start that went well: worth a line only to who looks for a fault."""
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Writes a record as an object: time, level, logger, text, and what `extra` brought."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line."""
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _OWN}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=repr)


class LogFile(logging.handlers.RotatingFileHandler):
    """The log: what its disk has no room for is counted, and told once there and once here."""

    def __init__(self, path: Path, file_bytes: int) -> None:
        # Opened by the first record, so that a disk that cannot take it stops no start.
        super().__init__(
            path, maxBytes=file_bytes, backupCount=KEPT_FILES, encoding="utf-8", delay=True
        )
        self.setFormatter(JsonFormatter())
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, after one of those that were lost before it."""
        lost = self._lost
        if lost:
            told = f"{lost} log records before this could not be written"
            values = {"name": "fifo", "levelno": logging.WARNING, "levelname": "WARNING"}
            super().emit(logging.makeLogRecord(values | {"msg": told}))
            if self._lost > lost:
                return  # This one is lost too: it was counted instead of the note of them.
            self._lost = 0
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Count a record that the disk did not take; what else goes wrong is a bug, and told so."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        if not self._lost:
            told = f"fifo: {self.baseFilename}: the log cannot be written: {error.strerror}\n"
            sys.stderr.write(told)
        self._lost += 1
        self._let_go()

    def close(self) -> None:
        """Close the file, whatever becomes of what is still on its way into it."""
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()

    def _open(self) -> TextIOWrapper:
        """Open the file and end a line that was cut, so that only that one is lost."""
        cut = _is_cut(Path(self.baseFilename))
        opened = super()._open()
        if cut:
            opened.write("\n")
        return opened


def _is_cut(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False


def log_to(directory: Path, level: str, file_bytes: int) -> logging.Handler:
    """Send all records to `fifo.log` in a directory; gives the handler, for who takes it away."""
    handler = LogFile(directory / "fifo.log", file_bytes)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel("DEBUG" if level == "debug" else "WARNING")
    return handler
