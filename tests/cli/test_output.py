"""Output is harmless, and made for who reads it."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from typing import TYPE_CHECKING

import grpc
import pytest
import yaml
from google.longrunning import operations_pb2
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from fifo.api.status import status_of
from fifo.cli import columns, exits
from fifo.cli.output import Column, line
from fifo.cli.text import cut, safe, width
from fifo.model.errors import InvalidInput, NoRoom, Violation
from fifo.v1 import instance_pb2, instance_service_pb2, operation_pb2, snapshot_pb2
from tests.cli.fake_channel import Ended

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.fake_channel import FakeChannel

SERVICE = "/fifo.v1.InstanceService"
EVIL = "web\x1b[2J\x9b31m\r\u202e\u2028x"
FORMS = ("table", "wide", "json", "yaml", "name")


def harmful(text: str) -> list[str]:
    return [
        char
        for char in text
        if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}
    ]


@pytest.fixture
def evil(channel: FakeChannel) -> FakeChannel:
    own = instance_pb2.Instance(
        name=f"orgs/default/instances/{EVIL}", uid="11111111-2222-4333-8444-555555555555",
        alias=EVIL, state_reason=EVIL, addresses=[EVIL], image=f"images/{EVIL}",
        brand=instance_pb2.Instance.LX, state=instance_pb2.Instance.RUNNING,
    )  # fmt: skip
    channel.answers = {
        f"{SERVICE}/GetInstance": own,
        f"{SERVICE}/ListInstances": instance_service_pb2.ListInstancesResponse(instances=[own]),
    }
    return channel


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", ["get web", "list"])
def test_names_with_control_characters_are_harmless(
    run: Run, evil: FakeChannel, form: str, command: str
) -> None:
    assert evil.answers
    done = run("instance", *command.split(), "-o", form)
    assert done.exit_code == 0
    assert harmful(done.output) == []
    assert "web" in done.output


def test_programs_read_back_what_was_there(run: Run, evil: FakeChannel) -> None:
    assert evil.answers
    for form, load in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert load(run("instance", "get", "web", "-o", form).stdout)["alias"] == EVIL


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_an_operation_is_told_with_what_is_packed_in_it(
    run: Run, channel: FakeChannel, form: str
) -> None:
    operation = operations_pb2.Operation(name="operations/op-1", done=True)
    operation.metadata.Pack(operation_pb2.OperationMetadata(verb="create"))
    operation.response.Pack(instance_pb2.Instance(alias="web"))
    channel.answers = {"/google.longrunning.Operations/GetOperation": operation}
    done = run("operation", "get", "op-1", "-o", form)
    told = (json.loads if form == "json" else yaml.safe_load)(done.stdout)
    assert (told["metadata"]["verb"], told["response"]["alias"]) == ("create", "web")


def test_vmadm_prints_what_vmadm_get_prints(run: Run, evil: FakeChannel) -> None:
    assert evil.answers
    told = json.loads(run("instance", "get", "web", "-o", "vmadm").stdout)
    assert (told["alias"], told["type"], told["state"]) == (EVIL, "LX", "running")
    assert isinstance(json.loads(run("-o", "vmadm", "instance", "list").stdout), list)
    assert run("image", "list", "-o", "vmadm").exception is not None


def test_the_last_output_option_wins(run: Run, evil: FakeChannel) -> None:
    assert evil.answers
    assert run("-o", "json", "instance", "list", "-o", "name").stdout.startswith("orgs/")


@given(st.text())
def test_safe_text_moves_no_cursor(text: str) -> None:
    assert harmful(safe(text).replace("\n", "?")) == []
    assert safe(safe(text)) == safe(text)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no room\n", "no room"),
        (
            "cannot start:\r\n\tno such file\n  see the log",
            "cannot start: no such file; see the log",
        ),
        ("one\n\n two", "one; two"),
        ("one\rtwo", "one\ufffdtwo"),
    ],
)
def test_several_lines_of_a_host_are_told_in_one(said: str, shown: str) -> None:
    assert safe(said) == shown


@given(st.text(), st.integers(min_value=2, max_value=40))
def test_cells_are_as_wide_as_their_column(text: str, cells: int) -> None:
    shown = cut(safe(text), cells)
    assert width(shown) <= cells
    own = (Column("A", str), Column("B", str))
    assert width(line(own, [cells, 1], [safe(text), "|"])) == cells + 3


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INVALID_ARGUMENT", 2),
        ("NOT_FOUND", 3),
        ("UNAUTHENTICATED", 4),
        ("PERMISSION_DENIED", 4),
        ("ALREADY_EXISTS", 5),
        ("FAILED_PRECONDITION", 5),
        ("ABORTED", 5),
        ("UNAVAILABLE", 6),
        ("DEADLINE_EXCEEDED", 6),
        ("RESOURCE_EXHAUSTED", 7),
        ("INTERNAL", 1),
        ("UNKNOWN", 1),
    ],
)
def test_each_code_has_its_exit_status(code: str, status: int) -> None:
    assert exits.BY_CODE.get(code, exits.FAILED) == status


def test_what_to_do_next_is_said_where_the_server_did_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exits.report(Ended(grpc.StatusCode.UNAVAILABLE)) == 6
    assert "fifo serve" in capsys.readouterr().err
    assert exits.report(ValueError()) is None


@pytest.mark.parametrize(
    ("told", "remedy"),
    [
        ("SSL_ERROR_SSL: error:1000007d: CERTIFICATE_VERIFY_FAILED: self signed", "--ca"),
        ("SSL_ERROR_SSL: error:100000f7: WRONG_VERSION_NUMBER", "speaks no TLS"),
        ("errors resolving foo: address lookup failed for foo", "HOST:PORT"),
        ("Connection refused", "is the node running?"),
    ],
)
def test_a_line_that_does_not_come_to_be_is_told_with_its_own_cause(
    capsys: pytest.CaptureFixture[str], told: str, remedy: str
) -> None:
    ended = Ended(grpc.StatusCode.UNAVAILABLE)
    ended.details = lambda: told  # type: ignore[method-assign]
    assert exits.report(ended) == 6
    assert remedy in capsys.readouterr().err.splitlines()[1]


def test_what_a_node_says_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*fields: str) -> str:
        wrong = InvalidInput("web", tuple(Violation(field, "a word") for field in fields))
        assert exits.report_status(status_of(wrong)) == 2
        return capsys.readouterr().err

    assert said("alias") == "fifo: web: not valid (alias: a word); correct the named fields\n"
    assert said("alias", "ram") == (
        "fifo: web: not valid; correct the named fields\n"
        "  alias: wanted: a word\n  ram: wanted: a word\n"
    )
    long = said(*(f"vmadm_json.nics[{n}].netmask{'-' * 80}" for n in range(9)), "é" * 400)
    first, *others = long.splitlines()
    assert first == "fifo: web: not valid; correct the named fields"
    assert len(others) == 10
    many = said(*(f"field-{n}" for n in range(50)))
    assert many.endswith("  field-39: wanted: a word\n  and 10 more\n")
    assert exits.report_status(status_of(NoRoom("full", "web", "free some"))) == 7
    assert capsys.readouterr().err == "fifo: web: full; free some\n"


def test_what_is_wrong_with_a_file_of_ours_stands_a_line_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = (Violation("listen", "a port"), Violation("sample_s", "a number"))
    assert exits.report(InvalidInput("settings", wrong)) == 2
    assert capsys.readouterr().err == (
        "fifo: settings: not valid\n  listen: wanted: a port\n  sample_s: wanted: a number\n"
        "  correct the named fields\n"
    )


def test_an_operation_that_failed_fails_the_command(run: Run, channel: FakeChannel) -> None:
    failed = operations_pb2.Operation(
        name="operations/op-1", done=True, error=status_pb2.Status(code=8, message=EVIL)
    )
    channel.answers = {f"{SERVICE}/StartInstance": failed}
    done = run("instance", "start", "web")
    assert done.return_value == 7
    assert harmful(done.output) == []


def test_nothing_drawn_goes_to_what_is_no_terminal(run: Run, evil: FakeChannel) -> None:
    assert evil.answers
    for command in ("instance list", "top -n 2 -d 0.2", "tree"):
        assert "\x1b" not in run(*command.split()).output


@pytest.mark.parametrize(
    "packed",
    [
        "fifo.v1.Image",
        "fifo.v1.Instance",
        "fifo.v1.BatchCreateInstancesResponse",
        "fifo.v1.Snapshot",
        "fifo.v1.OperationMetadata",
        "google.protobuf.Empty",
    ],
)
def test_an_operation_is_json_though_nothing_else_knew_its_result(packed: str) -> None:
    # A process of its own: here other tests have imported all there is.
    program = (
        "from google.longrunning import operations_pb2\n"
        "from fifo.cli.output import as_dict\n"
        "made = operations_pb2.Operation(done=True)\n"
        f"made.response.type_url = 'type.googleapis.com/{packed}'\n"
        "detail = made.metadata\n"
        "detail.type_url = 'type.googleapis.com/google.rpc.ErrorInfo'\n"
        "print(as_dict(made)['response']['@type'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"type.googleapis.com/{packed}"), (
        done.stderr
    )


@pytest.mark.parametrize(("size_bytes", "shown"), [(0, ""), (2048, "2.0 KiB")])
def test_a_size_that_the_host_does_not_know_is_not_shown_as_nothing(
    size_bytes: int, shown: str
) -> None:
    taken = snapshot_pb2.Snapshot(size_bytes=size_bytes)
    (column,) = (each for each in columns.SNAPSHOTS if each.title == "SIZE")
    assert column.value(taken) == shown
