"""What callers are told of a host that is lost and heard of again, and of its instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.agent.names import gateway
from fifo.v1 import event_pb2, hypervisor_pb2, instance_pb2
from tests.api.calls import call, stream
from tests.api.stage import HOST
from tests.api.test_instances import WEB, create
from tests.api.test_watch import WATCH, snapshot, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]


def test_an_instance_whose_host_is_lost_goes_into_limbo_and_comes_back(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            watch = stream(channel, WATCH, snapshot=True, resource_types=["fifo/Instance"])
            hosts = stream(channel, WATCH, snapshot=True, resource_types=["fifo/Hypervisor"])
            await snapshot(watch)
            await snapshot(hosts)
            front = stage.node.whereis(gateway(HOST))
            assert front is not None
            front.kill()
            states: list[str] = []
            while not {"LIMBO", "RUNNING"} <= set(states):
                told, _ = await until(watch, 1)
                for event in told:
                    instance = instance_pb2.Instance()
                    event.resource.Unpack(instance)
                    states.append(instance_pb2.Instance.State.Name(instance.state))
            assert (states[0], states[-1]) == ("LIMBO", "RUNNING")
            watch.cancel()
            host = hypervisor_pb2.Hypervisor()
            (lost, *_), _ = await until(hosts, 1)
            lost.resource.Unpack(host)
            assert host.state == hypervisor_pb2.Hypervisor.UNREACHABLE
            assert host.state_reason == "its agent ended"
            hosts.cancel()
            listed = await call(channel, "EventService.ListEvents", parent=WEB)
            found, gone, *_ = listed.events
            assert (found.kind, gone.kind) == (event_pb2.Event.CUT_OFF, event_pb2.Event.CUT_OFF)
            assert gone.message == "its host is unreachable: its agent ended"
            assert found.message.startswith("its host is heard of again")
            assert found.hypervisor == "hypervisors/host-1"
            assert gone.name < found.name

    play(scene)
