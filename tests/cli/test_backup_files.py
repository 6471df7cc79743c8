"""A file that is to be a backup is read with the suspicion that one from anywhere deserves."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from fifo.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def _member(name: str, kind: bytes) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.linkname = "/etc/passwd"
    return made


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside", tarfile.REGTYPE),
        ("/outside", tarfile.REGTYPE),
        ("inside/../../outside", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("link", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
    ],
)
def test_what_would_leave_its_directory_is_no_backup(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    kind: bytes,
) -> None:
    file = tmp_path / "evil.tar"
    with tarfile.open(file, "w") as archive:
        archive.addfile(_member(name, kind), io.BytesIO())
    with pytest.raises(SystemExit) as ended:
        main(["store", "verify", str(file)])
    assert ended.value.code != 0
    assert "it is no backup" in capsys.readouterr().err


def test_an_archive_of_something_else_is_refused_by_its_own_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for content, why in ((tarfile.TarInfo("rootfs/x"), "manifest.json"), (None, "no whole tar")):
        file = tmp_path / "other.tar"
        if content is None:
            file.write_bytes(b"nothing")
        else:
            with tarfile.open(file, "w") as archive:
                archive.addfile(content, io.BytesIO())
        with pytest.raises(SystemExit) as ended:
            main(["store", "verify", str(file)])
        told = capsys.readouterr().err
        assert ended.value.code == 1
        assert told.startswith(f"fifo: {file}: it is no backup: ")
        assert why in told
