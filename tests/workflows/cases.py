"""One case for each registered workflow: how to set the stage, and what to ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from fifo.api.services.instance_batches import DELETE_CHUNK, chunk_size
from fifo.model import address_pool, keys, limits, records
from fifo.model.hypervisor import HypervisorStatus
from fifo.model.image import Image
from fifo.model.instance import Disk, StopPatience
from fifo.model.network import AddressClaim
from fifo.model.operation import Operation
from fifo.store.contract import Delete, Put, Txn
from tests.fleet.asking import many, nics
from tests.workflows.stage import HOST, NETWORK, Stage, uid, zone

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.instance import InstanceSpec

IMAGE = "00000000-0000-4000-8000-00000000c001"
AWAY = "00000000-0000-4000-8000-00000000a002"


def operation(kind: str, uids: tuple[str, ...], asked: Any = None, **more: Any) -> Operation:
    """Make the operation that an API would submit."""
    wanted = {
        "id": f"op-{kind.replace('_', '-')}", "kind": kind, "target": kind, "principal": "admin",
        "create_time": 0.0, "deadline": 0.0, "uids": uids, "org": "default",
        "input": msgspec.to_builtins(asked), **more,
    }  # fmt: skip
    return Operation(**wanted)


class Case(NamedTuple):
    """What one proof needs; `prepare` runs before what is undone is compared with."""

    kind: str
    prepare: Callable[[Stage], None]
    make: Callable[[Stage], Operation]
    what: str = ""

    @property
    def name(self) -> str:
        """What its tests are called by."""
        return f"{self.kind}{self.what}"


def _nothing(stage: Stage) -> None:
    del stage


def _with_zones(*numbers: int) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        for number in numbers:
            spec = zone(number)
            made = operation("create_instance", (spec.uid,), spec, id=f"op-made-{number}")
            assert stage.run(made).state == "done"

    return prepare


def _with_snapshot(stage: Stage) -> None:
    _with_zones(1)(stage)
    taken = operation("create_snapshot", (uid(1),), {"snapshot": "before"}, id="op-taken")
    assert stage.run(taken).state == "done"


def _with_image(stage: Stage) -> None:
    key = keys.by_uid(keys.IMAGE, IMAGE)
    index = keys.index("images", "", "tiny")
    record = msgspec.structs.replace(image(), state="ready")
    # A second host is away, and owes what it cannot be asked for.
    away = HypervisorStatus(uid=AWAY, condition="unreachable", since=0.0)
    stage.write(
        Put(key, records.encode(record)),
        Put(index, IMAGE.encode()),
        Put(keys.by_uid(keys.HYPERVISOR_STATUS, AWAY), records.encode(away)),
    )
    stage.truth.images.add(IMAGE)


def _with_stranger(stage: Stage) -> None:
    """Have the store forget an instance that its host runs, as a restore of a backup does."""
    _with_zones(1)(stage)
    claim, status = stage.catalog.claims.record(uid(1)), stage.catalog.host_statuses.record(HOST)
    assert claim is not None
    assert status is not None
    listed = msgspec.structs.replace(status, foreign=(uid(1),))
    kept = [
        AddressClaim(network=NETWORK, address=address_pool.bare(text), stranger=uid(1))
        for texts in claim.addresses.values()
        for text in texts
    ]
    gone = (
        *(keys.by_uid(prefix, uid(1)) for prefix in (keys.INSTANCE_SPEC, keys.INSTANCE_STATUS)),
        keys.by_uid(keys.CLAIM, uid(1)),
        keys.by_uid(keys.ALLOCATION, HOST),
        keys.index("instances", "default", zone().id),
    )
    kept_macs = [
        AddressClaim(network=NETWORK, address=mac, mac=mac, stranger=uid(1))
        for mac in claim.networks
    ]
    stage.write(
        Put(keys.by_uid(keys.HYPERVISOR_STATUS, HOST), records.encode(listed)),
        *(Put(keys.address(NETWORK, own.address), records.encode(own)) for own in kept),
        *(Put(keys.MAC + own.mac.encode(), records.encode(own)) for own in kept_macs),
    )
    assert stage.store.txn(Txn(then=tuple(map(Delete, gone)))).get().succeeded
    stage.host.run_ready()


def image(**more: Any) -> Image:
    """Give the image that tests import."""
    return Image(
        uid=IMAGE, id="tiny", create_time=0.0, format="rootfs_tar", source="/tiny.tar", **more
    )


def _changed(stage: Stage, **change: Any) -> InstanceSpec:
    spec = stage.catalog.specs.record(uid(1))
    assert spec is not None
    return msgspec.structs.replace(spec, generation=spec.generation + 1, **change)


def _batch(stage: Stage) -> Operation:
    return _creates(stage, [zone(number) for number in (1, 2, 3)], 2)


def _creates(stage: Stage, specs: list[InstanceSpec], size: int) -> Operation:
    """Leave what a batch asks for, as the API does, and make its operation."""
    uids = tuple(spec.uid for spec in specs)
    made = operation("create_instances", uids, "left", chunk_size=size)
    for first in range(0, len(specs), size):
        key = keys.operation_input("left", first)
        stage.write(Put(key, msgspec.json.encode(specs[first : first + size])))
    return made


# -- batches as large as the API makes them -------------------------------------------------------

_LARGE = 26
"""More instances than the largest chunk of either batch has."""


def _large(number: int) -> InstanceSpec:
    """Give a VM that has images of its own, and addresses: some have as many as there may be."""
    disks = tuple(
        Disk(path=f"disk{n}", boot=not n, image=own, size=10)
        for n, own in enumerate((IMAGE, *_own_images(number)))
    )
    if number in {2, 3}:
        own = many(number, limits.PLACED_KEYS - 1).nics
    elif number == 4:
        own = nics(number, limits.NICS)
    else:
        own = (*nics(number, 1), *nics(number, 2, 4)[1:])
    return zone(number, brand="kvm", nics=own, disks=disks)


def _own_images(number: int) -> tuple[str, str]:
    one, other = (f"00000000-0000-4000-8000-00000001{n:02x}{number:02x}" for n in (0, 1))
    return one, other


def _with_images(stage: Stage) -> None:
    """Have as many images as an accepting transaction compares with the instances of a chunk."""
    uids = [IMAGE, *(own for n in range(1, _LARGE + 1) for own in _own_images(n))]
    for own in uids:
        record = msgspec.structs.replace(image(), uid=own, id=f"image-{own[-4:]}", state="ready")
        stage.write(Put(keys.by_uid(keys.IMAGE, own), records.encode(record)))


def _large_batch(stage: Stage) -> Operation:
    specs = [_large(number) for number in range(1, _LARGE + 1)]
    return _creates(stage, specs, chunk_size(specs))


def _with_large(stage: Stage) -> None:
    _with_images(stage)
    assert stage.run(_large_batch(stage)).state == "done"


CASES = (
    Case("create_instance", _nothing, lambda _: operation("create_instance", (uid(1),), zone())),
    Case("create_instances", _nothing, _batch),
    Case("create_instances", _with_images, _large_batch, "-large"),
    Case("delete_instance", _with_zones(1), lambda _: operation("delete_instance", (uid(1),))),
    Case(
        "delete_instances",
        _with_zones(1, 2, 3),
        lambda _: operation("delete_instances", (uid(1), uid(2), uid(3)), chunk_size=2),
    ),
    Case(
        "delete_instances",
        _with_large,
        lambda _: operation(
            "delete_instances",
            tuple(uid(number) for number in range(1, _LARGE + 1)),
            chunk_size=DELETE_CHUNK,
        ),
        "-large",
    ),
    Case(
        "start_instance",
        _with_zones(1),
        lambda stage: operation("start_instance", (uid(1),), _changed(stage, wanted="running")),
    ),
    Case(
        "stop_instance",
        _with_zones(1),
        lambda stage: operation("stop_instance", (uid(1),), _changed(stage, wanted="stopped")),
    ),
    Case(
        "reboot_instance",
        _with_zones(1),
        lambda stage: operation(
            "reboot_instance",
            (uid(1),),
            _changed(stage, boot_generation=2, patience=StopPatience(generation=2, seconds=5.0)),
        ),
    ),
    Case(
        "update_instance",
        _with_zones(1),
        lambda stage: operation(
            "update_instance", (uid(1),), _changed(stage, max_physical_memory=512, alias="big")
        ),
    ),
    Case(
        "create_snapshot",
        _with_zones(1),
        lambda _: operation("create_snapshot", (uid(1),), {"snapshot": "before"}),
    ),
    Case(
        "delete_snapshot",
        _with_snapshot,
        lambda _: operation("delete_snapshot", (uid(1),), {"snapshot": "before"}),
    ),
    Case(
        "roll_back_snapshot",
        _with_snapshot,
        lambda _: operation("roll_back_snapshot", (uid(1),), {"snapshot": "before"}),
    ),
    Case("import_image", _nothing, lambda _: operation("import_image", (IMAGE,), image())),
    Case(
        "create_image",
        _with_zones(1),
        lambda _: operation("create_image", (IMAGE,), image(from_instance=uid(1))),
    ),
    Case("delete_image", _with_image, lambda _: operation("delete_image", (IMAGE,))),
    Case(
        "remove_foreign_instance",
        _with_stranger,
        lambda _: operation("remove_foreign_instance", (uid(1),), {"host": HOST}),
    ),
    Case(
        "adopt_foreign_instance",
        _with_stranger,
        lambda _: operation("adopt_foreign_instance", (uid(1),), {"host": HOST, "id": ""}),
    ),
)
FORWARD_ONLY = frozenset(
    {
        # Their wish stands whatever becomes of this attempt: nothing is undone.
        "start_instance", "stop_instance", "reboot_instance", "delete_instance",
        "delete_instances", "delete_snapshot", "roll_back_snapshot", "delete_image",
        "remove_foreign_instance",
    }
)  # fmt: skip
