"""Logs: one line of JSON for each record, in files that are put aside when they are full.

What comes from outside is escaped by JSON's own rules, so that no name can end a line or colour a
terminal.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

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


def log_to(directory: Path, level: str, file_bytes: int) -> logging.Handler:
    """Send all records to `fifo.log` in a directory; gives the handler, for who takes it away."""
    handler = logging.handlers.RotatingFileHandler(
        directory / "fifo.log", maxBytes=file_bytes, backupCount=KEPT_FILES, encoding="utf-8"
    )
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel("DEBUG" if level == "debug" else "WARNING")
    return handler
