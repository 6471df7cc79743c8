"""`fifo store`: what is done to a store while no node runs on it."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import click

from fifo.model.errors import DataLoss


@click.group(name="store")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Restore a backup on this machine, or verify one."""


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
    except (OSError, tarfile.TarError) as error:
        raise DataLoss(f"it is no backup: {error}", file, "take another backup") from error
    inside = [entry for entry in directory.iterdir() if entry.is_dir()]
    return inside[0] if len(inside) == 1 else directory


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Let a file or directory pass that stays inside; raises tarfile.TarError for all else."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isreg() or member.isdir()):
        raise tarfile.TarError(f"it holds {member.name}, which no backup does")
    return member


@COMMAND.command()
@click.argument("backup", type=click.Path(exists=True))
def verify(backup: str) -> None:
    """Read a backup whole and compare it with its manifest."""
    from fifo.store.backup import verify as check

    with tempfile.TemporaryDirectory() as directory:
        manifest = check(_unpack(backup, Path(directory)))
    click.echo(f"{backup}: whole, revision {manifest.revision}, made {manifest.made_at}")


@COMMAND.command()
@click.argument("backup", type=click.Path(exists=True))
@click.argument("data_dir", type=click.Path(file_okay=False))
def restore(backup: str, data_dir: str) -> None:
    """Put a backup into the data directory of a node that does not run.

    Instances that the backup does not know are listed as foreign afterwards, and never deleted.
    """
    from fifo.store.backup import restore as put_back

    target = Path(data_dir) / "store"
    with tempfile.TemporaryDirectory() as directory:
        put_back(_unpack(backup, Path(directory)), target)
    click.echo(f"{target}: restored; start the node with `fifo serve --data-dir {data_dir}`")
