"""Two requests with one id at the same time: one is done, and the other takes nothing from it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

import pytest

from fifo.api.backend import Backend
from fifo.api.calls import Call
from fifo.api.ordering import Orders
from fifo.api.references import References
from fifo.api.resources.instances import Cache
from fifo.api.services.images import ImageService
from fifo.api.services.instance_batches import InstanceBatches
from fifo.api.services.instance_changes import InstanceChanges
from fifo.api.uploads import Uploads
from fifo.fleet.commits import Remembering
from fifo.model import keys, names, records
from fifo.model.errors import FifoError, RequestIdReused
from fifo.model.image import Image
from fifo.store.contract import Put
from fifo.store.faults import DrawnFaults
from fifo.store.memory import MemoryStore
from fifo.v1 import image_pb2, image_service_pb2, instance_pb2, instance_service_pb2
from supervisors import Continue, Future, GenServer, Stop
from tests.api.calls import BY_NAME
from tests.workflows.stage import RUN_S, Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from fifo.store.contract import RangeReply

IMAGE = "00000000-0000-4000-8000-00000000c001"
REQUEST_ID = "00000000-0000-4000-8000-00000000f001"
SEEDS = range(12)


class Caller(GenServer):
    """Makes one call in a process of its own, and keeps what came of it."""

    def init(self, function: Callable[..., Awaitable[Any]], call: Call, told: list[Any]) -> Any:
        self.function = function
        self.call = call
        return Continue(told)

    async def handle_continue(self, told: list[Any]) -> Any:
        try:
            told.append(await self.function(self.call.request, self.call))
        except FifoError as error:
            told.append(error)
        return Stop("normal")


class LateReads(MemoryStore):
    """A store whose reads of one key are answered late, as those of a database are."""

    def get(self, key: bytes) -> Future[RangeReply]:
        found = super().get(key)
        late: Future[RangeReply] = Future(self._shard)
        self.put(b"test", b"").add_done_callback(lambda _: late.reply(found.get()))
        return late


class VirtualTime(Stage):
    """A control plane with such a store."""

    engine = LateReads


class Race:
    """A control plane in virtual time, with the services that are called."""

    def __init__(self, seed: int, reply_lost: float = 0.0) -> None:
        self.stage = stage = VirtualTime(seed)
        image = Image(
            uid=IMAGE, id="base", create_time=1.0, format="rootfs_tar", source="", state="ready"
        )
        stage.write(
            Put(keys.by_uid(keys.IMAGE, IMAGE), records.encode(image)),
            Put(keys.index(names.IMAGES, "", "base"), IMAGE.encode()),
        )
        stage.crash()
        stage.start(DrawnFaults(random.Random(seed), delayed=0.5, reply_lost=reply_lost))
        self.numbers: Iterator[int] = iter(range(1, 1_000))
        self.random = random.Random(seed)
        self.backend = Backend(
            world=stage.world,
            operations=stage.operations,
            node=stage.node,
            references=References(stage.catalog),
            instances=Cache(stage.catalog, 8),
            remembering=Remembering(stage.store, lambda: stage.host.now_s),
            new_uid=lambda: f"00000000-0000-4000-9000-{next(self.numbers):012x}",
            orders=Orders(stage.catalog),
            **dict.fromkeys(("gateway", "seals", "settings"), cast("Any", None)),
        )

    def run(self, path: str, function: Callable[..., Any], *requests: Message) -> list[Any]:
        """Have all called at about the same time, and give what each is told."""
        told: list[list[Any]] = [[] for _ in requests]
        for own, request in zip(told, requests, strict=True):
            service, _, name = path.partition(".")
            call = Call(BY_NAME[service, name], *cast("Any", (None, None)))
            call.request = request
            self.stage.node.start(Caller, function, call, own).get()
            self.stage.host.advance(self.random.choice((0.0, 0.0, 0.01, 0.05, 0.2)))
        self.stage.host.advance(RUN_S)
        return [own[0] for own in told]


def batch(*ids: str) -> instance_service_pb2.BatchCreateInstancesRequest:
    requests = [
        {"instance_id": own, "instance": {"image": "images/base", "ram": 64}} for own in ids
    ]
    return instance_service_pb2.BatchCreateInstancesRequest(
        parent="orgs/default", requests=cast("Any", requests), request_id=REQUEST_ID
    )


def check_one_batch(race: Race, told: list[Any], *wanted: list[str]) -> None:
    """Check that one of the wanted is there whole, and nothing else."""
    catalog = race.stage.catalog
    (operation,) = [entry.record for entry in catalog.operations]
    assert (operation.state, operation.failures) == ("done", {})
    assert {entry.record.uid for entry in catalog.specs} == set(operation.uids)
    assert [catalog.specs.entries[uid].record.id for uid in operation.uids] in wanted
    left = race.stage.store.range(keys.OPERATION_INPUT, keys.end_of(keys.OPERATION_INPUT)).get()
    assert [kv.key for kv in left.kvs] == []
    answers = [own for own in told if not isinstance(own, FifoError)]
    assert answers
    assert {own.name for own in answers} == {f"operations/{operation.id}"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_that_is_asked_for_twice_at_once_is_done_once_and_whole(seed: int) -> None:
    race = Race(seed)
    own = [f"n-{number}" for number in range(60)]
    function = InstanceBatches(race.backend).batch_create_instances
    told = race.run("InstanceService.BatchCreateInstances", function, batch(*own), batch(*own))
    check_one_batch(race, told, own)
    assert not any(isinstance(each, FifoError) for each in told)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_with_the_request_id_of_another_takes_nothing_from_it(seed: int) -> None:
    race = Race(seed)
    one = [f"n-{number}" for number in range(60)]
    other = [f"m-{number}" for number in range(60)]
    function = InstanceBatches(race.backend).batch_create_instances
    told = race.run("InstanceService.BatchCreateInstances", function, batch(*one), batch(*other))
    check_one_batch(race, told, one, other)
    assert [type(each) for each in told if isinstance(each, FifoError)] == [RequestIdReused]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_promised_is_done_whole_whichever_answers_of_the_store_are_lost(seed: int) -> None:
    race = Race(seed, reply_lost=0.1)
    one = [f"n-{number}" for number in range(60)]
    other = [f"m-{number}" for number in range(60)]
    function = InstanceBatches(race.backend).batch_create_instances
    race.run("InstanceService.BatchCreateInstances", function, batch(*one), batch(*other))
    for operation in [entry.record for entry in race.stage.catalog.operations]:
        assert (operation.state, operation.failures) == ("done", {})
        assert {entry.record.uid for entry in race.stage.catalog.specs} == set(operation.uids)


# -- one resource ---------------------------------------------------------------------------------


class VirtualUploads(Uploads):
    """Uploads whose files take as long as a commit of the store."""

    def __init__(self, directory: Path, race: Race) -> None:
        super().__init__(directory, race.stage.world.utc)
        self.race = race
        self.dropped: list[str] = []

    async def _run(self, function: Callable[..., object], *args: object) -> Any:
        await self.race.stage.store.put(b"test", b"")
        return function(*args)

    def _throw_away(self, source: str) -> None:
        self.dropped.append(source)


def upload(race: Race, directory: Path) -> VirtualUploads:
    (directory / REQUEST_ID).write_bytes(b"an image")
    return VirtualUploads(directory, race)


def imported(own: str) -> image_service_pb2.ImportImageRequest:
    return image_service_pb2.ImportImageRequest(
        image_id=own,
        format=image_pb2.Image.ROOTFS_TAR,
        upload_id=REQUEST_ID,
        request_id=REQUEST_ID,
    )


def check_one_image(race: Race, told: list[Any], uploads: VirtualUploads) -> None:
    catalog = race.stage.catalog
    (operation,) = [entry.record for entry in catalog.operations]
    assert (operation.state, operation.failures) == ("done", {})
    assert {entry.record.uid for entry in catalog.images} == {IMAGE, *operation.uids}
    answers = [own for own in told if not isinstance(own, FifoError)]
    assert {own.name for own in answers} == {f"operations/{operation.id}"}
    assert set(uploads.dropped) == {catalog.images.entries[operation.uids[0]].record.source}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_import_that_is_asked_for_twice_at_once_is_done_once(seed: int, tmp_path: Path) -> None:
    race = Race(seed)
    uploads = upload(race, tmp_path)
    function = ImageService(race.backend, uploads).import_image
    told = race.run("ImageService.ImportImage", function, imported("tiny"), imported("tiny"))
    check_one_image(race, told, uploads)
    assert not any(isinstance(each, FifoError) for each in told), told


@pytest.mark.parametrize("seed", SEEDS)
def test_an_import_with_the_request_id_of_another_takes_nothing_from_it(
    seed: int, tmp_path: Path
) -> None:
    race = Race(seed)
    uploads = upload(race, tmp_path)
    function = ImageService(race.backend, uploads).import_image
    told = race.run("ImageService.ImportImage", function, imported("tiny"), imported("other"))
    check_one_image(race, told, uploads)
    assert [type(each) for each in told if isinstance(each, FifoError)] == [RequestIdReused]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_instance_that_is_asked_for_twice_at_once_is_made_once(seed: int) -> None:
    race = Race(seed)
    request = instance_service_pb2.CreateInstanceRequest(
        parent="orgs/default",
        instance_id="web",
        instance=instance_pb2.Instance(image="images/base", ram=64),
        request_id=REQUEST_ID,
    )
    function = InstanceChanges(race.backend).create_instance
    told = race.run("InstanceService.CreateInstance", function, request, request)
    (operation,) = [entry.record for entry in race.stage.catalog.operations]
    assert [each.name for each in told] == [f"operations/{operation.id}"] * 2
    assert len(race.stage.catalog.specs) == 1
