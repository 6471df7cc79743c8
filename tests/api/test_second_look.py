"""What is hidden beside a wrong field: what only seems wrong because that is left out, and no more.

Each entry of the table has a request here that is right but for one field, and in which the other
seems wrong when the first is left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from fifo.api import second_look
from fifo.api.methods import METHODS
from fifo.api.second_look import FOLLOWS, looks, unheard
from fifo.model import keys
from fifo.model.errors import Violation
from fifo.model.package import Package
from tests.api.calls import call, refused, request_class
from tests.api.stage import disk_image, image
from tests.api.test_instances import VM, WEB, ZONE, create
from tests.api.test_networks import DMZ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import Descriptor

    from tests.api.calls import Refusal
    from tests.api.stage import Stage

    Play = Callable[..., None]

PARENT = "orgs/default"
LARGE, BOTH, MEDIUM = (f"00000000-0000-4000-8000-00000000e00{number}" for number in (1, 2, 3))
CREATE, UPDATE = "InstanceService.CreateInstance", "InstanceService.UpdateInstance"
IMPORT, LIST = "ImageService.ImportImage", "InstanceService.ListInstances"
OTHERS = {"image": f"images/{BOTH}", "model": "ahci", "boot": True}
URL = {"url": "https://example.com/x.qcow2", "image_id": "x"}


class Witness(NamedTuple):
    """A request that is right, and the path of a field with what is wrong in its place."""

    path: str
    right: dict[str, Any]
    field: str
    wrong: Any


def made(**instance: Any) -> dict[str, Any]:
    return {"parent": PARENT, "instance": instance}


def changed(**instance: Any) -> dict[str, Any]:
    return {"instance": {"name": f"{PARENT}/instances/vm", **instance}}


def imported(**described: Any) -> dict[str, Any]:
    return {"format": "QCOW2", "image": described, **URL}


WITNESSES: dict[tuple[str, str], Witness] = {
    **{
        ("brand", own): Witness(
            CREATE, made(brand="KVM", disks=[{"size": 10}]), "instance.brand", 99
        )
        for own in ("image", "disks")
    },
    ("brand", "disks[].model"): Witness(
        CREATE, made(brand="BHYVE", disks=[OTHERS]), "instance.brand", 99
    ),
    ("image", "disks"): Witness(
        CREATE, made(image="images/disk", disks=[{"size": 100}]), "instance.image", "\n"
    ),
    ("nics", "routes.*"): Witness(
        CREATE, made(**ZONE, routes={"10.1.0.0/16": "nics[0]"}), "instance.nics", ZONE["nics"] * 40
    ),
    **{
        (own, "ips[]"): Witness(
            CREATE, made(image="images/base", nics=[nic]), f"instance.nics[0].{own}", wrong
        )
        for own, nic, wrong in (
            ("network", {"network": "networks/lan", "ips": ["10.0.0.50"]}, "\n"),
            ("nic_tag", {"nic_tag": "external", "ips": ["10.0.0.50"]}, "\n"),
            ("vlan_id", {"nic_tag": "external", "vlan_id": 7, "ips": ["10.7.0.5"]}, 9_999),
        )
    },
    ("package", "ram"): Witness(
        CREATE, made(image=f"images/{LARGE}", package=f"packages/{MEDIUM}"),
        "instance.package", "\n",
    ),
    ("longest_wait", "first_wait"): Witness(
        CREATE,
        made(**ZONE, restart_policy={
            "first_wait": {"seconds": 500}, "longest_wait": {"seconds": 600},
        }),
        "instance.restart_policy.longest_wait", {"seconds": 10**7},
    ),
    **{
        ("ram", own): Witness(UPDATE, changed(ram=256, **{own: 1_000}), "instance.ram", -1)
        for own in ("max_physical_memory", "max_locked_memory", "max_swap")
    },
    ("max_physical_memory", "ram"): Witness(
        CREATE, made(image=f"images/{LARGE}", max_physical_memory=2_048),
        "instance.max_physical_memory", -1,
    ),
    ("format", "image.brands"): Witness(IMPORT, imported(brands=["KVM"]), "format", 99),
    ("format", "image.boot"): Witness(IMPORT, imported(boot="DIRECT"), "format", 99),
    ("filter", "page_token"): Witness(
        LIST, {"parent": PARENT, "filter": 'alias = ""'}, "filter", "\n"
    ),
    ("order_by", "page_token"): Witness(
        LIST, {"parent": PARENT, "order_by": "create_time"}, "order_by", "\n"
    ),
}  # fmt: skip


def with_wrong(witness: Witness, request: dict[str, Any]) -> dict[str, Any]:
    """Give a request with what is wrong in the place of what is right."""
    outer, _, rest = witness.field.partition(".")
    if not rest:
        return {**request, outer: witness.wrong}
    name, place, _ = outer.partition("[0]")
    inner, held = witness._replace(field=rest), request[name]
    made = [with_wrong(inner, held[0])] if place else with_wrong(inner, held)
    return {**request, name: made}


async def furnished(stage: Stage, channel: Any) -> None:
    """Have there what the requests refer to."""
    large = msgspec.structs.replace(image(), uid=LARGE, id="large", min_ram=1_024)
    both = msgspec.structs.replace(disk_image(), uid=BOTH, id="both", brands=("kvm", "bhyve"))
    medium = Package(uid=MEDIUM, id="medium", create_time=1.0, max_physical_memory=2_048)
    await stage.write(keys.IMAGE, LARGE, large)
    await stage.write(keys.IMAGE, BOTH, both)
    await stage.write(keys.PACKAGE, MEDIUM, medium)
    await call(channel, "NetworkService.CreateNetwork", network_id="dmz", network=DMZ)
    await create(channel, "vm", {**VM, "ram": 2_048})
    await create(channel)


async def whole(witness: Witness, channel: Any) -> dict[str, Any]:
    """Give the request of a witness, which is right: its page token is another's answer."""
    request = witness.right
    if witness.path == LIST:
        request = {**request, "page_size": 1}
        page = await call(channel, witness.path, **request)
        request["page_token"] = page.next_page_token
        assert request["page_token"]
        await call(channel, witness.path, **request)
    else:
        await call(channel, witness.path, validate_only=True, **request)
    return request


async def told_of(witness: Witness, channel: Any) -> Refusal:
    request = with_wrong(witness, await whole(witness, channel))
    return await refused(call(channel, witness.path, **request))


def test_each_entry_of_the_table_has_a_witness() -> None:
    assert set(WITNESSES) == {(wrong, seems) for wrong in FOLLOWS for seems in FOLLOWS[wrong]}
    for (wrong, _), witness in WITNESSES.items():
        assert witness.field.rpartition(".")[2] == wrong


def test_what_is_hidden_beside_a_wrong_field_only_seems_wrong_without_it(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await furnished(stage, channel)
            for (wrong, seems), witness in WITNESSES.items():
                told = await told_of(witness, channel)
                assert set(told.fields) == {witness.field}, (wrong, seems)
                with monkeypatch.context() as context:
                    context.setattr(second_look, "FOLLOWS", {})
                    told = await told_of(witness, channel)
                head = re.escape(witness.field.removesuffix(wrong))
                path = re.escape(seems).replace(r"\[\]", r"\[\d+\]").replace(r"\*", ".+")
                found = [own for own in told.fields if re.fullmatch(head + path, own)]
                assert found, (wrong, seems, told.fields)

    play(scene)


def messages(described: Descriptor) -> Iterator[Descriptor]:
    """Give a message and all of ours in it."""
    yield described
    for field in described.fields:
        inner = field.message_type
        if inner is not None and inner.file.package == "fifo.v1" and inner != described:
            yield from messages(inner)


def has(described: Any, path: str) -> bool:
    """Tell whether a path of the table leads to a field of a message."""
    name, _, rest = path.partition(".")
    field = described.fields_by_name.get(name.removesuffix("[]"))
    if field is None or field.is_repeated != (name.endswith("[]") or rest == "*"):
        return field is not None and not rest and not name.endswith("[]")
    return not rest or rest == "*" or has(field.message_type, rest)


def test_each_entry_of_the_table_names_fields_that_one_message_has() -> None:
    requests = [(method, request_class(method)) for method in METHODS]
    looked: list[Any] = [own.DESCRIPTOR for method, own in requests if looks(method, own)]
    every = [inner for own in looked for inner in messages(own)]
    for wrong, follows in FOLLOWS.items():
        for seems in follows:
            assert any(has(own, wrong) and has(own, seems) for own in every), (wrong, seems)


@pytest.mark.parametrize("wrong", FOLLOWS)
def test_nothing_beside_a_wrong_field_is_hidden_but_what_the_table_names(wrong: str) -> None:
    deeper = [
        Violation(f"instance.{own}.deeper", "") for own in FOLLOWS[wrong] if not own.endswith("*")
    ]
    beside = [Violation(f"instance.{own}x", "") for own in FOLLOWS[wrong] if own[-1] != "*"]
    outside = [Violation(f"other.{own}", "") for own in FOLLOWS[wrong]]
    found = [*deeper, *beside, *outside]
    assert list(unheard(found, [f"instance.{wrong}"])) == found


PATH = {"size": 10, "path": "../x"}
BOTH_TOLD: list[tuple[str, dict[str, Any], set[str]]] = [
    (
        CREATE,
        made(brand=99, **ZONE, filesystems=[{"source": "/a", "target": "/b", "type": "zfs"}]),
        {"instance.brand", "instance.filesystems[0].type"},
    ),
    (
        CREATE,
        made(brand=99, disks=[{"image": "images/disk"}, PATH]),
        {"instance.brand", "instance.disks[1].path"},
    ),
    (
        CREATE,
        made(image="\n", brand="KVM", disks=[{"size": 10}, PATH]),
        {"instance.image", "instance.disks[1].path"},
    ),
    (
        "InstanceService.BatchGetInstances",
        {"parent": "\n", "names": ["a", WEB]},
        {"parent", "names[0]"},
    ),
]


@pytest.mark.parametrize(("path", "request_", "wanted"), BOTH_TOLD)
def test_what_is_wrong_by_itself_is_told_beside_a_field_that_is_left_out(
    play: Play, path: str, request_: dict[str, Any], wanted: set[str]
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await furnished(stage, channel)
            told = await refused(call(channel, path, **request_))
            assert set(told.fields) == wanted

    play(scene)
