"""Every command that prints a result prints it as JSON too, and names where names are wanted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import grpc
import pytest
from google.longrunning import operations_pb2

from fifo.cli import inside
from fifo.cli.inside import BROKEN
from fifo.cli.main import COMMANDS as GROUPS
from fifo.cli.main import cli
from fifo.store.backup import Manifest
from fifo.v1 import console_service_pb2, instance_pb2, instance_service_pb2, operation_pb2
from tests.cli.fake_channel import Ended
from tests.cli.test_calls import COMMANDS, answered, arguments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Run
    from tests.cli.fake_channel import FakeChannel

__all__ = ["answered"]

BYTES = {"instance exec", "instance logs", "instance console", "completion"}
"""What they print is not theirs, or for a shell to read."""
SILENT = {
    "operation cancel", "operation delete", "package delete", "network delete", "network release",
}  # fmt: skip
"""They say nothing: it is done."""
NODES = {"serve", "demo"}
LOCAL = ("store verify", "store restore")
MANIFEST = Manifest(1, "one", 7, 0, 3, 4096, "a", "b", "2026-11-25T00:00:00+00:00")
CREATE = "/fifo.v1.InstanceService/CreateInstance"
BATCH = "/fifo.v1.InstanceService/BatchCreateInstances"
STOP = "/fifo.v1.InstanceService/StopInstance"
ATTACH = "/fifo.v1.ConsoleService/Attach"
WEB = "orgs/default/instances/web"


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name))


def leaf_of(command: str) -> str:
    """Give a command's own words: of a group two, of `admin token reset` three."""
    found: click.Command | None = cli
    words: list[str] = []
    for word in command.split():
        if not isinstance(found, click.Group):
            break
        found = found.get_command(click.Context(found), word)
        words.append(word)
    return " ".join(words)


def printing() -> list[str]:
    """List the commands of the table whose result is printed once; a watch has lines of JSON."""
    return [
        command
        for command in COMMANDS
        if leaf_of(command) not in BYTES | SILENT and "--watch" not in command
    ]


def test_no_command_is_left_out_of_the_table() -> None:
    known = {leaf_of(command) for command in (*COMMANDS, *LOCAL)} | BYTES | NODES
    assert set(leaves(cli)) - known == {"store backup"}  # `admin backup` by another name
    assert set(GROUPS) >= {name.split()[0] for name in known}


@pytest.mark.parametrize("command", printing())
def test_json_is_printed_where_a_result_is(
    run: Run, answered: FakeChannel, tmp_path: Path, command: str
) -> None:
    assert answered.answers
    done = run("-o", "json", *arguments(command, tmp_path))
    assert done.exception is None, done.output
    json.loads(done.stdout)


@pytest.mark.parametrize("command", [own for own in COMMANDS if leaf_of(own) in SILENT])
def test_a_command_without_a_result_prints_nothing(
    run: Run, answered: FakeChannel, tmp_path: Path, command: str
) -> None:
    assert answered.answers
    assert run("-o", "json", *arguments(command, tmp_path)).stdout == ""


def test_what_was_done_to_files_of_this_machine_is_told_as_json_too(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("fifo.store.backup.verify", lambda _: MANIFEST)
    monkeypatch.setattr("fifo.store.backup.restore", lambda *_, at: MANIFEST)
    whole, data = str(tmp_path), str(tmp_path / "data")
    told = json.loads(run("store", "verify", whole, "-o", "json").stdout)
    assert told == {"file": whole, "revision": 7, "made_at": MANIFEST.made_at}
    told = json.loads(run("-o", "json", "store", "restore", whole, data).stdout)
    assert told == {"file": whole, "store": f"{data}/private/store"}
    assert run("store", "verify", whole, "-o", "name").stdout == f"{whole}\n"
    assert run("store", "verify", whole).stdout.startswith(f"{whole}: whole, revision 7")


# --- names ---------------------------------------------------------------------------------------


def operation(*, response: Any = None, code: int = 0, done: bool = True) -> Any:
    made = operations_pb2.Operation(name="operations/op-1", done=done)
    made.metadata.Pack(operation_pb2.OperationMetadata(verb="create", target=WEB))
    if response is not None:
        made.response.Pack(response)
    if code:
        made.error.code = code
    return made


@pytest.mark.parametrize(
    ("path", "answer", "command", "names"),
    [
        (CREATE, operation(response=instance_pb2.Instance(name=WEB)), "create web", [WEB]),
        # Where nothing but its target tells what it was about.
        (STOP, operation(), "stop web", [WEB]),
        # What is not there yet has no name that the next command could use.
        (CREATE, operation(done=False), "create web --no-wait", ["operations/op-1"]),
        (CREATE, operation(code=9), "create web", ["operations/op-1"]),
        (
            BATCH,
            operation(
                response=instance_service_pb2.BatchCreateInstancesResponse(
                    instances=[instance_pb2.Instance(name=f"{WEB}-{n}") for n in (1, 2)]
                )
            ),
            "create -f FILE -f FILE",
            [f"{WEB}-1", f"{WEB}-2"],
        ),
    ],
)
def test_names_are_those_of_what_was_made(
    run: Run, channel: FakeChannel, tmp_path: Path, *,
    path: str, answer: Any, command: str, names: list[str],
) -> None:  # fmt: skip
    channel.answers = {path: answer}
    done = run("-o", "name", *arguments(f"instance {command}", tmp_path))
    assert done.exception is None, done.output
    assert done.stdout.split() == names


# --- how a session ends --------------------------------------------------------------------------


class Session:
    """Answers one frame, then what ends the session: a frame, an error, or nothing."""

    def __init__(self, last: Any) -> None:
        self.last = last

    def stream_stream(self, path: str, **_: Any) -> Any:
        assert path == ATTACH

        def call(requests: Any, **_: Any) -> Iterator[Any]:
            assert next(iter(requests)).HasField("open")
            yield console_service_pb2.AttachResponse(
                opened=console_service_pb2.AttachResponse.Opened()
            )
            if isinstance(self.last, grpc.RpcError):
                raise self.last
            if self.last is not None:
                yield console_service_pb2.AttachResponse(exit=self.last)

        return call

    def close(self) -> None:
        pass


Exit = console_service_pb2.AttachResponse.Exit


@pytest.mark.parametrize(
    ("last", "of_shell", "of_console"),
    [
        (Exit(reason=Exit.SHELL_EXITED, exit_status=3), 3, 3),
        (Exit(reason=Exit.SHELL_EXITED), 0, 0),
        (Exit(reason=Exit.DETACHED), 0, 0),
        (Exit(reason=Exit.INSTANCE_STOPPED), BROKEN, 0),
        (Exit(reason=Exit.FELL_BEHIND), BROKEN, BROKEN),
        (Ended(grpc.StatusCode.UNAVAILABLE), BROKEN, BROKEN),
        (None, BROKEN, BROKEN),
    ],
)
def test_a_console_ends_with_the_status_of_its_shell_or_255_where_it_broke(
    monkeypatch: pytest.MonkeyPatch, run: Run, last: Any, of_shell: int, of_console: int
) -> None:
    monkeypatch.setattr(inside.Input, "start", lambda _: None)
    monkeypatch.setattr(grpc, "insecure_channel", lambda *_: Session(last))
    assert run("instance", "console", "web", "--shell").return_value == of_shell
    assert run("instance", "console", "web").return_value == of_console


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (Exit(reason=Exit.DETACHED), BROKEN),
        (Exit(reason=Exit.SHELL_EXITED, exit_status=0), 0),
        (None, BROKEN),
    ],
)
def test_a_shell_that_was_left_because_it_did_not_end_has_no_status(
    monkeypatch: pytest.MonkeyPatch, run: Run, last: Any, status: int
) -> None:
    monkeypatch.setattr(inside.Input, "start", lambda own: setattr(own, "gave_up", True))
    monkeypatch.setattr(grpc, "insecure_channel", lambda *_: Session(last))
    done = run("instance", "console", "web", "--shell")
    assert done.return_value == status
    assert ("it was left" in done.stderr) == (last is not None and status == BROKEN)


def test_a_session_that_never_began_ends_with_the_status_of_its_error(
    run: Run, channel: FakeChannel
) -> None:
    channel.answers = {ATTACH: Ended(grpc.StatusCode.NOT_FOUND)}
    assert isinstance(run("instance", "console", "web", "--shell").exception, Ended)


def test_a_command_inside_that_nobody_told_the_end_of_ends_with_255(
    run: Run, answered: FakeChannel
) -> None:
    assert answered.answers
    assert run("instance", "exec", "web", "true").return_value == BROKEN
