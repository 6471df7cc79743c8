"""Every method that the API serves is called by some command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import grpc
import pytest
from google.longrunning import operations_pb2

from fifo.api.methods import METHODS
from fifo.cli import inside
from fifo.v1 import image_service_pb2
from tests.cli.fake_channel import Ended

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.fake_channel import FakeChannel

LISTS = (
    "instance list", "image list", "package list", "network list", "hypervisor list",
    "operation list", "network addresses lan", "snapshot list web", "events",
)  # fmt: skip
UID = "00000000-0000-4000-8000-000000000001"
COMMANDS = (
    *LISTS,
    "instance get web",
    "instance get web db",
    "instance create web --brand lx --no-wait",
    "instance create -f FILE -f FILE --no-wait",
    "instance update web alias=x --etag e --no-wait",
    "instance delete web --yes --allow-missing --no-wait",
    "instance delete web db --yes --no-wait",
    "instance start web --no-wait",
    "instance stop web --force --no-wait",
    "instance reboot web --timeout 3m --no-wait",
    "instance exec web ls -la",
    "instance logs web",
    "instance stats web",
    "instance console web",
    "snapshot get web s",
    "snapshot create web s --no-wait",
    "snapshot delete web s --yes --no-wait",
    "snapshot rollback web s --force --no-wait",
    "hypervisor get here",
    "hypervisor label here rack=a",
    "hypervisor update here labels={}",
    "hypervisor cordon here",
    "hypervisor uncordon here",
    "hypervisor probe here",
    f"hypervisor adopt-foreign here {UID} --id web-2 --no-wait",
    f"hypervisor remove-foreign here {UID} --yes --no-wait",
    "image get tiny",
    "image import tiny --upload FILE --format rootfs_tar --no-wait",
    "image upload FILE",
    "image delete tiny --yes --no-wait",
    "image capture mine web --no-wait",
    "package get small",
    "package create small quota=1",
    "package update small quota=1 --allow-missing",
    "package delete small",
    "network get lan",
    "network create lan nic_tag=a",
    "network update lan alias=a",
    "network delete lan",
    "network reserve lan",
    "network release lan 10.0.0.1",
    "operation get op-1",
    "operation wait op-1",
    "operation cancel op-1",
    "operation delete op-1",
    "tree",
    "tree --watch",
    "top -n 1",
    "admin info",
    "admin health",
    "admin health --watch",
    "admin services",
    "admin token reset --yes",
    "admin backup NEW",
    "support bundle NEW",
)
WATCH = "/fifo.v1.EventService/Watch"


@pytest.fixture
def answered(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> FakeChannel:
    # Nobody types: a runner's standard input is no file.
    monkeypatch.setattr(inside.Input, "start", lambda _: None)
    channel.answers = {
        "/google.longrunning.Operations/WaitOperation": operations_pb2.Operation(done=True),
        "/fifo.v1.ImageService/UploadImage": image_service_pb2.UploadImageResponse(size_bytes=99),
        WATCH: Ended(grpc.StatusCode.PERMISSION_DENIED),
    }
    return channel


def arguments(command: str, directory: Path) -> list[str]:
    file, new = directory / "file", directory / "new"
    file.write_bytes(b"{}")
    new.unlink(missing_ok=True)
    return [{"FILE": str(file), "NEW": str(new)}.get(word, word) for word in command.split()]


def test_every_method_of_the_table_has_a_command(
    run: Run, answered: FakeChannel, tmp_path: Path
) -> None:
    for command in COMMANDS:
        done = run(*arguments(command, tmp_path))
        assert done.exception is None, (command, done.output, done.exception)
    run("instance", "list", "--watch")
    assert {method.path for method in METHODS} - answered.paths == set()


@pytest.mark.parametrize("command", LISTS)
def test_every_list_can_be_watched(run: Run, answered: FakeChannel, command: str) -> None:
    run(*command.split(), "--watch")
    path, request = answered.asked[-1]
    assert path == WATCH
    assert request.snapshot


@pytest.mark.parametrize("dashes", [(), ("--",)])
def test_arguments_of_a_command_inside_are_its_own(
    run: Run, answered: FakeChannel, dashes: tuple[str, ...]
) -> None:
    assert run("instance", "exec", "web", *dashes, "sh", "-e", "-o", "json", "-t").exit_code == 0
    ((_, first),) = answered.asked
    assert list(first.open.command) == ["sh", "-e", "-o", "json", "-t"]
    assert not first.open.HasField("terminal")


@pytest.mark.parametrize("verb", ["stop", "reboot"])
@pytest.mark.parametrize(
    ("written", "seconds"), [("10s", 10.0), ("0.5", 0.5), ("1.5m", 90.0), ("1h", 3_600.0)]
)
def test_the_time_that_a_guest_has_to_stop_is_written_with_its_unit(
    run: Run, answered: FakeChannel, verb: str, written: str, seconds: float
) -> None:
    arguments = ("instance", verb, "web", "--timeout", written, "--force", "--no-wait")
    assert run(*arguments).exit_code == 0
    ((_, request),) = answered.asked
    assert request.timeout.ToMilliseconds() == seconds * 1000
    assert request.force


@pytest.mark.parametrize("written", ["soon", "-1s", "1d", "1e3", ""])
def test_a_time_that_is_none_is_a_usage_error(
    run: Run, answered: FakeChannel, written: str
) -> None:
    done = run("instance", "stop", "web", "--timeout", written)
    assert isinstance(done.exception, click.UsageError)
    assert "is no time like 10s" in done.exception.message
    assert answered.asked == []
