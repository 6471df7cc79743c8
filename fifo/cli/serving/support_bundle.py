"""The support bundle: logs, records and the metrics page in a tar.gz, with secrets removed.

What must not leave the node is removed twice: from records by field, as tenants' metadata and tags,
and from every file by what it looks like, wherever it was written by mistake.
"""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from fifo.model.records import Record
    from fifo.store.catalog import Table, View

REMOVED: Final = b"[removed]"
PIECE_BYTES: Final = 64 * 1024
"""What is looked through at once, some milliseconds, and the longest line that is.

`re` lets no other thread run meanwhile, not even the node's loop."""
_WORD: Final = rb"(?:password|passwd|passphrase|secret|token|key)"
# As a shell takes it, and as JSON quotes that once more: what has more backslashes is within.
_VALUE: Final = (
    rb"(?:(?P<escape>\\*)\"(?:[^\"\\\n]+|\\+(?![\"\\])|(?P=escape)\\+\")*"
    rb"|'[^'\n]*"
    rb"|(?:[^\s\"'\\]+|\\+(?![\"\\]))+)"
)
SECRETS: Final[tuple[tuple[re.Pattern[bytes], bytes | Callable[[re.Match[bytes]], bytes]], ...]] = (
    (re.compile(rb"fpat_[A-Za-z0-9_-]+"), REMOVED),
    # Who fetches an image says so in its URL: by a name and a password, or by what is signed.
    (re.compile(rb"(://)[^/\s\"']+@"), rb"\1" + REMOVED + b"@"),
    (
        re.compile(rb"(https?://[^\s\"'?#]+)(?:([?#])[^\s\"']+)?", re.IGNORECASE),
        lambda found: found[1] + (found[2] + REMOVED if found[2] else b""),
    ),
    # Command lines, which runc and QEMU quote when they fail.
    (re.compile(rb"(" + _WORD + rb"=)" + _VALUE, re.IGNORECASE), rb"\1" + REMOVED),
    (
        re.compile(
            rb"((?:(?<![\w-])|(?<=\\[a-z]))--[\w-]*" + _WORD + rb"[^\S\n]+)" + _VALUE,
            re.IGNORECASE,
        ),
        rb"\1" + REMOVED,
    ),
)
"""What a secret in a line looks like, and what is written in its place.

Each takes time in proportion to the line, whatever is in it: none begins anew within what it has
looked at in vain, and nothing stands behind a value that could fail. Possessive quantifiers, which
would say so, match wrongly in early releases of Python 3.11."""
_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END|\Z)", re.DOTALL)
_KEY_END: Final = b"-----END"
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
    """Yield the files of every log in some directories, clean: of each the newest `most_bytes`.

    What was put aside counts with the log it is of. Blocks for the disk; on a thread of its own.
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
    """Blot out all that looks like a secret, and what is too long to be looked through.

    Called on a thread of its own: between pieces the others can run.
    """
    return b"".join(_clean(content))


def _clean(content: bytes) -> Iterator[bytes]:
    """Yield a content piece by piece; of all secrets only a key goes over the end of a line."""
    in_key = False
    for piece in _pieces(content):
        left = piece
        if in_key:
            _, ended, left = piece.partition(_KEY_END)
            in_key = not ended
        cut_off = [found for found in _KEY.finditer(left) if not found[1]]
        in_key = in_key or bool(cut_off)
        left = _KEY.sub(REMOVED, left)
        if len(left) > PIECE_BYTES:
            yield b"[a line of %d bytes, too long to be looked through]\n" % len(piece)
            continue
        for looks, instead in SECRETS:
            left = looks.sub(instead, left)
        yield left


def _pieces(content: bytes) -> Iterator[bytes]:
    """Yield as many whole lines as are looked through at once, or one that is longer."""
    begin = 0
    while begin < len(content):
        end = len(content)
        if end - begin > PIECE_BYTES:
            end = content.rfind(b"\n", begin, begin + PIECE_BYTES) + 1
            end = end or content.find(b"\n", begin) + 1 or len(content)
        yield content[begin:end]
        begin = end


def pack(target: Path, files: Mapping[str, bytes], logs: Iterable[tuple[str, bytes]]) -> None:
    """Write the bundle: files, which are cleaned here, and what `logs_of` gives; blocks."""
    cleaned = ((name, without_secrets(content)) for name, content in files.items())
    with tarfile.open(target, "w:gz") as archive:
        for name, content in itertools.chain(cleaned, logs):
            entry = tarfile.TarInfo(f"fifo-support/{name}")
            entry.size = len(content)
            entry.mode = 0o600
            archive.addfile(entry, io.BytesIO(content))
