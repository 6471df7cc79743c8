"""Files that a command reads and writes on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from fifo.cli.main import main
from fifo.security.certificates import Certificates
from fifo.v1 import admin_service_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.fake_channel import FakeChannel

BACKUP = "/fifo.v1.AdminService/BackupStore"


def ended(*arguments: str) -> int:
    """Run `fifo` to its end and give its exit status."""
    with pytest.raises(SystemExit) as end:
        main(["--server", "unix:/nowhere", *arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    "line",
    [
        "instance create -f ABSENT",
        "image import tiny --upload ABSENT --format raw",
        "--token-file ABSENT instance list",
        "admin backup ABSENT/x",
    ],
)
def test_a_file_that_is_not_there_is_the_callers_mistake_and_no_traceback(
    channel: FakeChannel, capsys: pytest.CaptureFixture[str], tmp_path: Path, line: str
) -> None:
    absent = str(tmp_path / "absent")
    assert ended(*line.replace("ABSENT", absent).split()) == 2
    assert f"fifo: {absent}" in capsys.readouterr().err
    assert not channel.asked or "backup" in line


def test_a_backup_is_private_and_never_written_over_another(
    channel: FakeChannel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    channel.answers[BACKUP] = admin_service_pb2.BackupStoreResponse(data=b"first")
    file = tmp_path / "today.backup"
    assert ended("admin", "backup", str(file)) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    channel.answers[BACKUP] = admin_service_pb2.BackupStoreResponse(data=b"second")
    assert ended("admin", "backup", str(file)) == 5
    assert "it is there already" in capsys.readouterr().err
    assert file.read_bytes() == b"first"


def test_a_backup_that_arrives_otherwise_than_it_was_sent_leaves_no_file(
    channel: FakeChannel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = admin_service_pb2.BackupStoreResponse(
        summary=admin_service_pb2.BackupStoreResponse.Summary(sha256="0" * 64)
    )
    channel.answers[BACKUP] = told
    file = tmp_path / "today.backup"
    assert ended("admin", "backup", str(file)) == 1
    assert "did not arrive" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize("command", [("admin", "backup"), ("support", "bundle")])
def test_standard_output_is_no_place_for_an_archive(
    channel: FakeChannel, capsys: pytest.CaptureFixture[str], command: tuple[str, str]
) -> None:
    assert ended(*command, "-") == 2
    assert "name a file" in capsys.readouterr().err
    assert channel.asked == []


def test_a_private_key_is_not_taken_for_a_ca(
    channel: FakeChannel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    certificates = Certificates(tmp_path / "tls", "node.example", time.time)
    certificates.load()
    server = ("--server", "node.example:7443", "--ca")
    assert ended(*server, str(tmp_path / "tls" / "ca.pem"), "instance", "list") == 4
    assert "take ca.crt" in capsys.readouterr().err
    assert channel.asked == []


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\x00", b"two words", b"x" * 2000])
def test_a_file_that_holds_no_token_is_named_before_anything_is_asked(
    channel: FakeChannel, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    assert ended("--token-file", str(file), "instance", "list") == 4
    assert capsys.readouterr().err.startswith(f"fifo: {file}: it holds no token")
    assert channel.asked == []
