"""Names, ids and the beginnings of uids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.cli.naming import SHORT_ID
from fifo.v1 import hypervisor_pb2, instance_service_pb2

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.fake_channel import FakeChannel

FOREIGN = (("adopt-foreign",), ("remove-foreign", "--yes"))
LIST = "/fifo.v1.InstanceService/ListInstances"


def known(channel: FakeChannel, *names: str) -> None:
    reply = instance_service_pb2.ListInstancesResponse()
    for name in names:
        reply.instances.add(name=f"orgs/default/instances/{name}")
    channel.answers[LIST] = reply


def asked_for(channel: FakeChannel) -> str:
    return str(channel.asked[-1][1].name)


@pytest.mark.parametrize("text", ["cafe", "0123abcd", "0123abcd-ef", "0123abcd-ef01-4"])
def test_the_beginning_of_a_uid_is_recognised(text: str) -> None:
    assert SHORT_ID.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["caf", "web1", "0123abcde", "0123ABCD", "11111111-2222-4333-8444-555555555555"]
)
def test_anything_else_is_a_name(text: str) -> None:
    assert not SHORT_ID.fullmatch(text)


def test_a_beginning_that_fits_one_is_that_one(run: Run, channel: FakeChannel) -> None:
    known(channel, "web")
    assert run("instance", "get", "cafe").exit_code == 0
    assert asked_for(channel) == "orgs/default/instances/web"


def test_a_name_wins_over_the_beginning_of_anothers_uid(run: Run, channel: FakeChannel) -> None:
    known(channel, "cafe", "web")
    run("instance", "get", "cafe")
    assert asked_for(channel) == "orgs/default/instances/cafe"


def test_a_beginning_that_fits_several_is_refused(run: Run, channel: FakeChannel) -> None:
    known(channel, "db", "web")
    refused = run("instance", "delete", "cafe", "--yes")
    assert refused.exit_code == 1
    assert "it fits" in str(refused.exception)
    assert channel.paths == {LIST}


def test_a_whole_name_is_taken_as_it_is(run: Run, channel: FakeChannel) -> None:
    run("instance", "get", "orgs/other/instances/cafe")
    run("--org", "acme", "instance", "get", "web")
    assert [request.name for path, request in channel.asked if path.endswith("/GetInstance")] == [
        "orgs/other/instances/cafe",
        "orgs/acme/instances/web",
    ]


def foreign(channel: FakeChannel, *uids: str) -> None:
    channel.answers["/fifo.v1.HypervisorService/GetHypervisor"] = hypervisor_pb2.Hypervisor(
        foreign_instances=uids
    )


UIDS = ("cafe0000-0000-4000-8000-000000000001", "cafe0000-0000-4000-8000-000000000002")


@pytest.mark.parametrize("verb", FOREIGN)
def test_a_foreign_instance_is_known_by_the_beginning_of_its_uid(
    run: Run, channel: FakeChannel, verb: tuple[str, ...]
) -> None:
    foreign(channel, UIDS[0])
    for text in ("cafe", "feed", UIDS[0]):
        assert run("hypervisor", verb[0], "here", text, *verb[1:], "--no-wait").exit_code == 0
    asked = [request.uid for path, request in channel.asked if path.endswith("ForeignInstance")]
    assert asked == [UIDS[0], "feed", UIDS[0]]


def test_a_beginning_that_fits_several_foreign_instances_is_refused(
    run: Run, channel: FakeChannel
) -> None:
    foreign(channel, *UIDS)
    refused = run("hypervisor", "remove-foreign", "here", "cafe", "--yes")
    assert refused.exit_code == 1
    assert all(uid in str(refused.exception) for uid in UIDS)
    assert channel.asked[-1][0].endswith("GetHypervisor")


def test_nothing_foreign_is_removed_before_somebody_agrees(run: Run, channel: FakeChannel) -> None:
    refused = run("hypervisor", "remove-foreign", "here", UIDS[0])
    assert refused.exit_code
    assert not channel.asked
