"""`fifo store`: a store backed up while its node runs, verified and restored while none does."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import click

from fifo.cli.commands import admin
from fifo.cli.options import pass_target
from fifo.model.errors import DataLoss, FifoError, InvalidInput, NotFound, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.cli.target import Target

IDENTITY: Final = "node.json"
"""What the private part of a node's data has, and its data directory has not."""


@click.group(name="store")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Back a node's store up while it runs; verify a backup, restore one on this machine."""


# Where people look for it: beside its verification and its restoration.
COMMAND.add_command(admin.backup)


def _unpack(file: str, directory: Path) -> Path:
    """Unpack a backup file, or take a backup directory as it is; raises DataLoss."""
    source = Path(file)
    if source.is_dir():
        return source
    try:
        with tarfile.open(source) as archive:
            # Debian 12's Python 3.11.2 has no `filter`, which would do what _plain does.
            members = [_plain(member) for member in archive]
            archive.extractall(directory, members)  # noqa: S202 - all of them are plain
    except tarfile.ReadError as error:
        # Its text lists every kind of compression that was tried, a line each.
        raise _no_backup(file, "no whole tar archive") from error
    except (OSError, tarfile.TarError) as error:
        raise _no_backup(file, str(error)) from error
    inside = [entry for entry in directory.iterdir() if entry.is_dir()]
    return inside[0] if len(inside) == 1 else directory


def _no_backup(file: str, why: str) -> DataLoss:
    return DataLoss(f"it is no backup: {why}", file, "take another that `fifo store backup` made")


@contextlib.contextmanager
def _read(file: str) -> Iterator[Path]:
    """Give the directory of a backup; errors name the file, which people know."""
    with tempfile.TemporaryDirectory() as directory:
        found = _unpack(file, Path(directory))
        try:
            yield found
        except NotFound as error:
            raise _no_backup(file, error.what) from error
        except FifoError as error:
            if error.subject.startswith(directory):
                error.subject = file
            raise


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Let a file or directory pass that stays inside; raises tarfile.TarError for all else."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isreg() or member.isdir()):
        raise tarfile.TarError(f"it holds {member.name}, which no backup does")
    return member


@COMMAND.command()
@click.argument("backup", type=click.Path(exists=True))
@pass_target
def verify(target: Target, backup: str) -> None:
    """Read a backup whole and compare it with its manifest."""
    from fifo.cli import output
    from fifo.store.backup import verify as check

    with _read(backup) as directory:
        manifest = check(directory)
    told = f"whole, revision {manifest.revision}, made {manifest.made_at}"
    facts = {"file": backup, "revision": manifest.revision, "made_at": manifest.made_at}
    output.show_done(target.output, backup, told, facts)


@COMMAND.command()
@click.argument("backup", type=click.Path(exists=True))
@click.argument("data_dir", type=click.Path(file_okay=False))
@pass_target
def restore(target: Target, backup: str, data_dir: str) -> None:
    """Put a backup into DATA_DIR, a node's data directory; the node must not run.

    The store that is there has to be moved away before (DATA_DIR/private/store). Instances that
    the backup does not know are listed as foreign afterwards, and never deleted.
    """
    from fifo.cli import output
    from fifo.security import private_files
    from fifo.store.backup import restore as put_back

    data = Path(data_dir)
    if (data / IDENTITY).exists():
        told = f"this is the private part of a node's data; name {data.parent}"
        raise InvalidInput(data_dir, (Violation("DATA_DIR", told),))
    store = data / "private" / "store"
    data.mkdir(parents=True, exist_ok=True)
    private_files.make_directory(store.parent)
    with _read(backup) as directory:
        put_back(directory, store, at=time.time())
    told = f"restored; start the node with `fifo serve --data-dir {data_dir}`"
    facts = {"file": backup, "store": str(store)}
    output.show_done(target.output, str(store), told, facts)
