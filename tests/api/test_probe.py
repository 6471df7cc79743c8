"""A probe of a host: what it finds is what the fleet knows from then on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from fifo.hypervisors.simulated.settings import ROOM
from tests.api.calls import call
from tests.api.test_instances import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

HOST = "hypervisors/host-1"


def test_what_a_probe_finds_is_known_from_then_on(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        grown = msgspec.structs.replace(ROOM, memory=2 * ROOM.memory)
        machine = stage.simulated
        machine.settings = replace(machine.settings, capacity=grown, brands=("lx",))
        async with stage.channel() as channel:
            before = await call(channel, "HypervisorService.GetHypervisor", name=HOST)
            probed = await call(channel, "HypervisorService.ProbeHypervisor", name=HOST)
            after = await call(channel, "HypervisorService.GetHypervisor", name=HOST)
            assert probed.capacity.memory == grown.memory
            assert after.capacity == probed.capacity != before.capacity
            assert list(after.brands) == list(probed.brands) != list(before.brands)
            assert after.etag == before.etag, "it is not the operator's part that changed"
            too_much = {"max_physical_memory": ROOM.memory + 1024}
            asked = {**ZONE, **too_much}
            await call(
                channel,
                "InstanceService.CreateInstance",
                parent="orgs/default",
                instance=asked,
                validate_only=True,
            )

    play(scene)
