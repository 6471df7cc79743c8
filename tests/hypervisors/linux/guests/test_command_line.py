"""The command line builds both images and prints where they are."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING

from fifo.hypervisors.linux.guests import __main__ as command_line
from fifo.hypervisors.linux.guests import requirements

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from fifo.hypervisors.linux.guests.image_cache import GuestImage


def test_it_prints_the_path_and_the_size_of_each_file(
    zone_guest: GuestImage, vm_guest: GuestImage
) -> None:
    out, complaints = io.StringIO(), io.StringIO()
    directory = str(zone_guest.directory.parent)
    assert command_line.main([directory], out, complaints) == 0
    assert complaints.getvalue() == ""
    for image in (zone_guest, vm_guest):
        for file in image.manifest.files:
            assert f"{file.size_bytes:,}  {image.directory / file.path}\n" in out.getvalue()


def test_what_is_missing_is_said_and_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(requirements.locate, "__defaults__", ((tmp_path,),))
    out, complaints = io.StringIO(), io.StringIO()
    assert command_line.main([str(tmp_path)], out, complaints) == 1
    assert "apt-get install -y --no-install-recommends busybox-static" in complaints.getvalue()
    assert out.getvalue() == ""


def test_help_tells_what_it_does() -> None:
    argv = [sys.executable, "-m", "fifo.hypervisors.linux.guests", "--help"]
    told = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert "build the small guests" in told.stdout
