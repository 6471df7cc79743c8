"""`fifo top` tells what it knows: rates are between two samples, and a first look has one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fifo.v1 import (
    hypervisor_service_pb2,
    instance_pb2,
    instance_service_pb2,
)

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.cli.fake_channel import FakeChannel

SERVICE = "/fifo.v1.InstanceService"


@pytest.fixture
def busy(channel: FakeChannel) -> FakeChannel:
    """A node whose one instance has used another second of processor time at each look."""
    own = instance_pb2.Instance(
        name="orgs/default/instances/web", uid="u", state=instance_pb2.Instance.RUNNING
    )
    looks = iter(range(1, 100))

    def stats(request: object) -> instance_pb2.InstanceStats:
        del request
        look = next(looks)
        made = instance_pb2.InstanceStats(cpu_seconds=look, processes=3)
        made.sample_time.FromSeconds(2 * look)
        return made

    channel.answers = {
        "/fifo.v1.HypervisorService/ListHypervisors": (
            hypervisor_service_pb2.ListHypervisorsResponse()
        ),
        f"{SERVICE}/ListInstances": instance_service_pb2.ListInstancesResponse(instances=[own]),
        f"{SERVICE}/GetInstanceStats": stats,
    }
    return channel


def test_a_first_look_tells_no_rates_and_a_second_does(run: Run, busy: FakeChannel) -> None:
    assert busy.answers
    done = run("-o", "json", "top", "-n", "2", "-d", "0.2")
    decoder, at, looks = json.JSONDecoder(), 0, []
    while at < len(done.stdout.rstrip()):
        look, at = decoder.raw_decode(done.stdout, at)
        looks.append(look["instances"][0])
        at += 1
    first, second = looks
    assert (first["processes"], "cpu_percent" in first) == (3, False)
    assert second["cpu_percent"] == 50.0


def test_a_first_look_shows_a_dash_for_what_it_does_not_know(run: Run, busy: FakeChannel) -> None:
    assert busy.answers
    *_, line = run("top", "-n", "1").stdout.splitlines()
    assert line.split()[:3] == ["web", "running", "-"]
