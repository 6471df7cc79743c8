"""Updates of instances: what the mask names, no more, and nobody else's change is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.v1 import instance_pb2
from tests.api.calls import call, done, refused
from tests.api.test_instances import VM, WEB, ZONE, create, get

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

Instance = instance_pb2.Instance


def test_an_update_changes_what_its_mask_names_and_keeps_the_rest(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            before = await create(channel, given={**ZONE, "tags": {"tier": "web", "n": 1}})
            operation = await call(
                channel,
                "InstanceService.UpdateInstance",
                instance={"name": WEB, "alias": "The web", "ram": 512, "tags": {"tier": "db"}},
                update_mask={"paths": ["alias", "ram", "tags.tier"]},
            )
            made = await done(channel, operation, Instance())
            assert (made.alias, made.max_physical_memory) == ("The web", 512)
            assert dict(made.tags.fields.items())["tier"].string_value == "db"
            assert made.tags["n"] == 1
            assert made.etag != before.etag
            assert made.nics == before.nics
            after = await get(channel)
            assert after.generation == 2

    play(scene)


def test_an_update_with_an_old_etag_is_refused(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            first = await create(channel)
            change = {"name": WEB, "alias": "one", "etag": first.etag}
            await done(
                channel, await call(channel, "InstanceService.UpdateInstance", instance=change)
            )
            told = await refused(call(channel, "InstanceService.UpdateInstance", instance=change))
            assert (told.code, told.reason) == ("ABORTED", "ETAG_MISMATCH")
            assert told.details["RetryInfo"].retry_delay.nanos > 0
            told = await refused(
                call(channel, "InstanceService.DeleteInstance", name=WEB, etag=first.etag)
            )
            assert told.reason == "ETAG_MISMATCH"

    play(scene)


def test_what_was_read_can_be_sent_back_and_changes_nothing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            for own, given in (("web", ZONE), ("vm", VM)):
                made = await create(channel, own, given)
                operation = await call(
                    channel,
                    "InstanceService.UpdateInstance",
                    instance=made,
                    update_mask={"paths": ["*"]},
                )
                assert operation.done
                assert operation.name == "", made
                assert (await get(channel, made.name)).etag == made.etag

    play(scene)


WRONG_UPDATES = [
    ({"image": "images/disk"}, ["image"], "instance.image"),
    ({}, ["nonsense"], "update_mask"),
    ({}, ["ram.more"], "update_mask"),
    ({"desired_state": "FAILED"}, ["desired_state"], "instance.desired_state"),
    ({"disks": [{"size": 5}]}, ["disks"], "instance.disks"),
]


@pytest.mark.parametrize(("change", "paths", "field"), WRONG_UPDATES)
def test_an_update_of_what_cannot_change_is_refused(
    play: Play, change: dict[str, Any], paths: list[str], field: str
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            told = await refused(
                call(
                    channel,
                    "InstanceService.UpdateInstance",
                    instance={"name": WEB, **change},
                    update_mask={"paths": paths},
                )
            )
            assert told.code == "INVALID_ARGUMENT"
            assert told.fields == [field]

    play(scene)


def test_an_update_may_create_what_is_missing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.UpdateInstance",
                instance={"name": WEB, **ZONE},
                allow_missing=True,
            )
            assert (await done(channel, operation, Instance())).name == WEB

    play(scene)


def test_an_update_that_its_host_has_no_room_for_is_refused_before_it_is_written(
    play: Play,
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            made = await create(channel)
            for only_check in (True, False):
                told = await refused(
                    call(
                        channel,
                        "InstanceService.UpdateInstance",
                        instance={"name": WEB, "max_physical_memory": 900_000},
                        validate_only=only_check,
                    )
                )
                assert (told.code, told.message.partition(":")[0]) == ("RESOURCE_EXHAUSTED", WEB)
            now = await get(channel)
            # A generation that no host is told of would be waited for in vain.
            assert (now.generation, now.etag) == (made.generation, made.etag)
            assert now.observed_generation == now.generation

    play(scene)


MEMORY = ("ram", "max_physical_memory", "max_locked_memory", "max_swap", "tmpfs")
LARGE = {"max_physical_memory": 2_048, "max_swap": 8_192, "max_locked_memory": 300, "tmpfs": 100}
RESETS: list[tuple[dict[str, Any], list[str], dict[str, Any], tuple[int, ...]]] = [
    (ZONE | LARGE, ["*"], {}, (256, 256, 256, 256, 256)),
    (ZONE | LARGE, ["*"], {"ram": 512}, (512, 512, 512, 512, 512)),
    (ZONE | LARGE, ["*"], {"max_physical_memory": 2_048}, (2_048,) * 5),
    (ZONE | LARGE, ["tmpfs"], {}, (2_048, 2_048, 300, 8_192, 2_048)),
    (ZONE | LARGE, ["max_swap"], {}, (2_048, 2_048, 300, 2_048, 100)),
    (ZONE | LARGE, ["max_locked_memory"], {}, (2_048, 2_048, 2_048, 8_192, 100)),
    (ZONE | LARGE, ["ram", "max_swap"], {}, (256, 256, 0, 256, 13)),
    (ZONE | LARGE, ["max_physical_memory", "max_swap"], {}, (256, 256, 0, 256, 13)),
    (VM | {"ram": 512, "max_physical_memory": 4_096}, ["max_physical_memory", "max_swap"], {},
     (512, 1_536, 1_536, 1_536, 0)),
    (VM | {"ram": 512, "max_physical_memory": 4_096}, ["*"], {}, (256, 1_280, 1_280, 1_280, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("given", "paths", "change", "wanted"), RESETS)
def test_memory_that_is_masked_and_absent_has_its_default_again(
    play: Play,
    given: dict[str, Any],
    paths: list[str],
    change: dict[str, Any],
    wanted: tuple[int, ...],
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            there = await create(channel, given=given)
            fixed = {"nics": there.nics, "disks": there.disks}
            operation = await call(
                channel,
                "InstanceService.UpdateInstance",
                instance={"name": WEB, **(fixed if paths == ["*"] else {}), **change},
                update_mask={"paths": paths},
                validate_only=True,
            )
            made = await done(channel, operation, Instance())
            assert tuple(getattr(made, name) for name in MEMORY) == wanted

    play(scene)
