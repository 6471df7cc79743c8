"""The support bundle: logs, records and the metrics page in a tar.gz, with secrets removed.

What must not leave the node is removed twice: from records by field, as tenants' metadata and tags,
and from every file by what it looks like, wherever it was written by mistake.
"""

from __future__ import annotations

import io
import re
import tarfile
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from fifo.model.records import Record
    from fifo.store.catalog import Table, View

REMOVED: Final = b"[removed]"
_WORD: Final = rb"[\w-]*(?:password|passwd|passphrase|secret|token|key)"
SECRETS: Final = (
    (re.compile(rb"fpat_[A-Za-z0-9_-]+"), REMOVED),
    (re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END|\Z)", re.DOTALL), REMOVED),
    # Who fetches an image says so in its URL: by a name and a password, or by what is signed.
    (re.compile(rb"(://)[^/\s\"']+@"), rb"\1" + REMOVED + b"@"),
    (re.compile(rb"(https?://[^\s\"'?#]+[?#])[^\s\"']+", re.IGNORECASE), rb"\1" + REMOVED),
    # Command lines, which runc and QEMU quote when they fail.
    (re.compile(rb"(" + _WORD + rb"=)[^\s\"'&]+", re.IGNORECASE), rb"\1" + REMOVED),
    (re.compile(rb"(--" + _WORD + rb"\s+)[^\s\"']+", re.IGNORECASE), rb"\1" + REMOVED),
)
"""What a secret looks like, and what is written in its place."""
TENANTS: Final[Mapping[str, Any]] = {
    "customer_metadata": {},
    "internal_metadata": {},
    "tags": {},
    "extra": {},
    "init": (REMOVED.decode(),),
    "input": None,
}
"""Fields of records that hold what tenants chose to tell, and what is written in their place."""


def as_json(value: Any) -> bytes:
    """Write a value for people to read."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str))


def records_of(view: View) -> dict[str, bytes]:
    """Write the records of a view, a file for each kind; on the node's thread."""
    tables: dict[str, Table[Any]] = {
        "hosts": view.host_statuses,
        "instances": view.specs,
        "statuses": view.statuses,
        "claims": view.claims,
        "cleanups": view.cleanups,
        "images": view.images,
        "packages": view.packages,
        "networks": view.networks,
        "operations": view.operations,
    }
    return {
        f"{name}.json": as_json([_without_tenants(entry.record) for entry in table])
        for name, table in tables.items()
    }


def _without_tenants(record: Record) -> Record:
    told = (name for name in record.__struct_fields__ if name in TENANTS and getattr(record, name))
    hidden = {name: TENANTS[name] for name in told}
    return msgspec.structs.replace(record, **hidden)


def logs_of(directories: Iterable[Path], most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of every log in some directories: of each log the newest `most_bytes`.

    What was put aside counts with the log it is of. Blocks for the disk.
    """
    for log in (log for directory in directories for log in sorted(directory.glob("*.log"))):
        room = most_bytes
        for path in (log, *_put_aside(log)):
            if room <= 0:
                break
            # Removed before it is cut: half a secret looks like none.
            text = without_secrets(_content(path))[-room:]
            room -= len(text)
            yield f"logs/{path.name}", text


def _put_aside(log: Path) -> list[Path]:
    """List what was put aside of a log, the youngest first: `fifo.log.1`, `fifo.log.2`, ..."""
    found = (path for path in log.parent.glob(f"{log.name}.*") if path.suffix[1:].isdecimal())
    return sorted(found, key=lambda path: int(path.suffix[1:]))


def _content(path: Path) -> bytes:
    """Read a log that may be put aside at this very moment: then the next file has its content."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def without_secrets(content: bytes) -> bytes:
    """Blot out all that looks like a secret."""
    for looks, instead in SECRETS:
        content = looks.sub(instead, content)
    return content


def pack(target: Path, files: Mapping[str, bytes]) -> None:
    """Write the bundle, every file of it without secrets; blocks for the disk."""
    with tarfile.open(target, "w:gz") as archive:
        for name, content in files.items():
            clean = without_secrets(content)
            entry = tarfile.TarInfo(f"fifo-support/{name}")
            entry.size = len(clean)
            entry.mode = 0o600
            archive.addfile(entry, io.BytesIO(clean))
