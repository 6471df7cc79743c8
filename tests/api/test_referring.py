"""Names that refer to nothing are told together with whatever else is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.api.calls import call, refused
from tests.api.test_instances import WEB, create

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

CREATE = "InstanceService.CreateInstance"
LOST: dict[str, Any] = {
    "image": "images/none",
    "package": "packages/none",
    "hypervisor": "hypervisors/none",
    "nics": [{"network": "networks/lan"}, {"network": "networks/none"}],
    "disks": [{"image": "networks/lan"}],
}
LOST_FIELDS = {"image", "package", "hypervisor", "nics[1].network", "disks[0].image"}


def prefixed(prefix: str, fields: set[str]) -> set[str]:
    return {prefix + field for field in fields}


def test_a_create_is_told_of_wrong_fields_and_lost_references_at_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            given = {**LOST, "alias": "\n", "quota": -1}
            told = await refused(call(channel, CREATE, parent="orgs/default", instance=given))
            wrong = LOST_FIELDS | {"alias", "quota"}
            assert (told.code, set(told.fields)) == (
                "INVALID_ARGUMENT", prefixed("instance.", wrong)
            )  # fmt: skip
            assert len(told.fields) == len(wrong)

    play(scene)


def test_the_words_are_those_of_a_request_whose_fields_are_in_order(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            words = []
            for more in ({}, {"alias": "\n"}):
                given = {"image": "images/base", "package": "packages/none", **more}
                told = await refused(call(channel, CREATE, parent="orgs/default", instance=given))
                violations = told.details["BadRequest"].field_violations
                words.append({own.field: own.description for own in violations})
            alone, beside = words
            assert alone["instance.package"] == beside["instance.package"]

    play(scene)


def test_each_request_of_a_batch_is_looked_through(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            requests = [{"instance": LOST}, {"instance": {"alias": "\n"}}]
            path = "InstanceService.BatchCreateInstances"
            told = await refused(call(channel, path, parent="orgs/default", requests=requests))
            wanted = prefixed("requests[0].instance.", LOST_FIELDS)
            other = prefixed("requests[1].instance.", {"alias", "image"})
            assert set(told.fields) == wanted | other

    play(scene)


def test_an_update_is_told_of_what_it_changes_and_of_nothing_else(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            given = {**LOST, "name": WEB, "quota": -1}
            fixed = {"image", "hypervisor", "disks"}
            for paths, lost in (
                ([], {"package", "nics[1].network", *fixed}),
                (["*"], {"package", "nics[1].network", *fixed}),
                (["package", "alias"], {"package"}),
                (["alias"], set[str]()),
            ):
                told = await refused(
                    call(
                        channel,
                        "InstanceService.UpdateInstance",
                        instance=given,
                        update_mask={"paths": paths},
                    )
                )
                assert set(told.fields) == prefixed("instance.", {"quota", *lost})

    play(scene)
