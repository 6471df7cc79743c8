"""Commands on several instances, and what they say of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import grpc
import pytest
import yaml
from google.longrunning import operations_pb2

from fifo.api.status import DETAILS_KEY, code_of, status_of
from fifo.cli import columns
from fifo.cli.exits import report
from fifo.cli.output import fit
from fifo.cli.rows import Rows
from fifo.model.errors import InvalidInput, Unsupported, Violation
from fifo.v1 import image_pb2, image_service_pb2, instance_pb2, instance_service_pb2, operation_pb2
from tests.cli.fake_channel import Ended

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.model.errors import FifoError
    from tests.cli.conftest import Run
    from tests.cli.fake_channel import FakeChannel

SERVICE = "/fifo.v1.InstanceService"


def operation(name: str = "operations/op-1", **metadata: Any) -> operations_pb2.Operation:
    """Make one that has ended."""
    made = operations_pb2.Operation(name=name, done=True)
    made.metadata.Pack(operation_pb2.OperationMetadata(**metadata))
    return made


def test_what_one_instance_refuses_keeps_no_other_waiting(run: Run, channel: FakeChannel) -> None:
    def stop(request: Any) -> Any:
        if request.name.endswith("/gone"):
            raise Ended(grpc.StatusCode.NOT_FOUND)
        return operation(verb="stop", target=request.name)

    channel.answers[f"{SERVICE}/StopInstance"] = stop
    done = run("instance", "stop", "gone", "web", "db")
    assert done.return_value == 3
    assert "stop orgs/default/instances/web: done\nstop orgs/default/instances/db: done" in (
        done.output
    )
    told = run("-o", "json", "instance", "stop", "web", "db")
    assert len(json.loads(told.output)) == 2
    refused = run("instance", "stop", "web", "db", "--request-id", "x")
    assert isinstance(refused.exception, click.UsageError)


def test_what_is_so_already_is_not_called_valid(run: Run, channel: FakeChannel) -> None:
    channel.answers[f"{SERVICE}/StopInstance"] = operation(name="", verb="stop", target="web")
    assert run("instance", "stop", "web").output == "stop web: nothing to do\n"
    assert run("instance", "stop", "web", "--validate-only").output == "stop web: valid\n"


def test_a_batch_names_what_it_made_and_each_file_that_failed(
    run: Run, channel: FakeChannel, tmp_path: Path
) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file in files:
        file.write_text("{}")
    made = operation(verb="create", target="orgs/default")
    metadata = operation_pb2.OperationMetadata(verb="create", target="orgs/default")
    metadata.failed_requests[1].message = "no room"
    made.metadata.Pack(metadata)
    answer = instance_service_pb2.BatchCreateInstancesResponse()
    answer.instances.add(name="orgs/default/instances/i-1")
    made.response.Pack(answer)
    channel.answers[f"{SERVICE}/BatchCreateInstances"] = made
    given = ["-f", str(files[0]), "-f", str(files[1])]
    done = run("instance", "create", *given)
    assert done.return_value == 1
    assert "create 2 instances: done\n  orgs/default/instances/i-1\n" in done.output
    assert f"{files[1]}: no room" in done.output
    # What failed is told in every form, beside what is for programs.
    for form in ("name", "yaml", "json"):
        other = run("-o", form, "instance", "create", *given)
        assert other.stderr == f"  {files[1]}: no room\n"
    for wrong in (["web", *given], [*given[:2], "--memory", "64"]):
        assert isinstance(run("instance", "create", *wrong).exception, click.UsageError)


def test_of_several_to_delete_each_is_tried_and_all_that_are_missing_are_named(
    run: Run, channel: FakeChannel
) -> None:
    ended = operation(verb="delete", target="orgs/default")
    metadata = operation_pb2.OperationMetadata(verb="delete", target="orgs/default")
    gone, full = metadata.failed_requests[1], metadata.failed_requests[2]
    gone.code, gone.message = 5, "orgs/default/instances/gone: it does not exist"
    full.code, full.message = 9, "it has 1 snapshots; delete them first, or use force"
    ended.metadata.Pack(metadata)
    channel.answers[f"{SERVICE}/ListInstances"] = instance_service_pb2.ListInstancesResponse()
    channel.answers[f"{SERVICE}/BatchDeleteInstances"] = ended
    told = run("instance", "delete", "web", "gone", "full", "--yes")
    assert told.return_value == 3
    assert "  orgs/default/instances/gone: it does not exist\n" in told.output
    assert "or use --force" in told.output
    told = run("instance", "delete", "1234", "web", "5678", "A b", "gone", "full", "--yes")
    assert told.return_value == 3
    assert all(own in told.output for own in ("1234", "5678", "A b", "delete 3 instances"))
    requests = [one for path, one in channel.asked if path.endswith("/BatchDeleteInstances")]
    asked = [f"orgs/default/instances/{own}" for own in ("web", "gone", "full")]
    assert [list(one.names) for one in requests] == [asked, asked]
    assert run("instance", "delete", "1234", "5678", "--yes").return_value == 3


def test_an_image_is_named_by_the_beginning_of_its_uid_at_create_too(
    run: Run, channel: FakeChannel
) -> None:
    found = image_service_pb2.ListImagesResponse()
    found.images.add(name="images/tiny")
    channel.answers["/fifo.v1.ImageService/ListImages"] = found
    channel.answers[f"{SERVICE}/CreateInstance"] = operation()
    run("instance", "create", "web", "--image", "9e41a7d6")
    ((_, request),) = [one for one in channel.asked if one[0].endswith("/CreateInstance")]
    assert request.instance.image == "images/tiny"


def test_a_question_that_nobody_answers_says_how_to_go_on_without(run: Run) -> None:
    asked = run("instance", "delete", "web")
    assert isinstance(asked.exception, click.UsageError)
    assert "--yes" in asked.exception.message
    assert isinstance(run("instance", "delete", "web", told="n\n").exception, click.Abort)


def test_a_vm_is_listed_with_its_own_memory_and_the_image_of_its_disk(
    run: Run, channel: FakeChannel
) -> None:
    listed = instance_service_pb2.ListInstancesResponse()
    vm = listed.instances.add(name="orgs/default/instances/vm", ram=256, max_physical_memory=512)
    vm.disks.add(image="images/debian")
    channel.answers[f"{SERVICE}/ListInstances"] = listed
    told = run("-o", "wide", "instance", "list").output
    assert "256.0 MiB" in told
    assert "debian" in told


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("nope=1", "nope: a field of it: uid, etag, alias, "),
        ("nics=[{]", "nics: JSON: "),
        ("max_physical_memory=x", "max_physical_memory"),
    ],
)
def test_a_field_that_is_wrong_is_told_with_what_is_right(
    run: Run, channel: FakeChannel, setting: str, told: str
) -> None:
    assert told in str(run("instance", "update", "web", setting).exception)
    assert channel.asked == []


def test_text_that_begins_like_json_is_text_where_text_is_wanted(
    run: Run, channel: FakeChannel
) -> None:
    channel.answers[f"{SERVICE}/UpdateInstance"] = operation()
    run("instance", "update", "web", "alias=[old]")
    assert channel.asked[0][1].instance == instance_pb2.Instance(
        name="orgs/default/instances/web", alias="[old]"
    )


def test_top_tells_programs_what_it_shows_people(run: Run) -> None:
    assert json.loads(run("-o", "json", "top", "-n", "1").output) == {
        "hypervisors": [], "instances": [],
    }  # fmt: skip
    twice = run("-o", "json", "top", "-n", "2", "-d", "0.2").output
    assert [set(json.loads(line)) for line in twice.splitlines()] == [
        {"hypervisors", "instances"}
    ] * 2


def test_top_tells_each_look_as_a_document_of_its_own(run: Run) -> None:
    twice = run("-o", "yaml", "top", "-n", "2", "-d", "0.2").output
    assert list(yaml.safe_load_all(twice)) == [{"hypervisors": [], "instances": []}] * 2
    once = run("-o", "yaml", "top", "-n", "1").output
    assert not once.startswith("---")


def refusing(error: FifoError) -> Any:
    """Make the answer of a node that refuses."""
    ended = Ended(getattr(grpc.StatusCode, code_of(error).name))
    ended.trailing_metadata = lambda: (  # type: ignore[method-assign]
        (DETAILS_KEY, status_of(error).SerializeToString()),
    )
    ended.details = lambda: status_of(error).message  # type: ignore[method-assign]
    return ended


@pytest.mark.parametrize("places", [(2,), (0, 2)])
def test_a_refused_payload_is_called_by_its_file(
    run: Run, channel: FakeChannel, tmp_path: Path, places: tuple[int, ...]
) -> None:
    files = [tmp_path / f"{own}.json" for own in "abc"]
    for file in files:
        file.write_text("{}")
    wrong = tuple(Violation(f"requests[{n}].vmadm_json.payload", "JSON") for n in places)
    channel.answers[f"{SERVICE}/BatchCreateInstances"] = refusing(InvalidInput("it", wrong))
    done = run("instance", "create", *(word for file in files for word in ("-f", str(file))))
    assert done.return_value == 2
    assert all(f"{files[n]}: payload: " in done.stderr for n in places)
    assert "requests[" not in done.stderr
    wrong = (Violation("vmadm_json.brand", "a brand"), Violation("vmadm_json", "one"))
    channel.answers[f"{SERVICE}/CreateInstance"] = refusing(InvalidInput("it", wrong))
    done = run("instance", "create", "web", "-f", str(files[0]))
    assert done.stderr.splitlines()[1:] == [
        f"  {files[0]}: brand: wanted: a brand", f"  {files[0]}: wanted: one",
    ]  # fmt: skip


def test_a_shell_that_a_vm_has_not_is_told_in_the_words_of_this_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report(refusing(Unsupported("a VM has none", "web", "use mode CONSOLE"))) == 5
    assert capsys.readouterr().err == "fifo: web: a VM has none; leave out --shell\n"


def test_a_table_of_changes_leaves_out_what_no_change_tells_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = image_pb2.Image(name="images/tiny")
    Rows("table", columns.IMAGES).show([("current", image)])
    told = capsys.readouterr().out
    assert "USED BY" not in told
    assert "tiny" in told


def test_names_are_cut_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    # What would be longest is the name, which the next command needs whole.
    assert fit([26, 20, 6]) == [26, 5, 5]
    assert fit([60, 20, 6])[1:] == [4, 4]
    assert sum(fit([60, 20, 6])) + 4 == 40
