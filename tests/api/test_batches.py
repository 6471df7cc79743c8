"""Many instances by one operation: checked whole, done in chunks, told one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fifo.api.resources.partial import failures, told_of
from fifo.api.services.instance_batches import chunk_size
from fifo.hypervisors.simulated.faults import Fault
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model import limits
from fifo.model.instance import Disk, Shares
from fifo.model.operation import Failure, Operation
from fifo.store.limits import TXN_COMPARES, VALUE_BYTES
from fifo.v1 import instance_pb2, instance_service_pb2
from tests.api.calls import call, done, ended, metadata_of, refused
from tests.api.test_instances import ZONE, create
from tests.workflows.stage import zone

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.api.stage import Stage

    Play = Callable[..., None]

Instance = instance_pb2.Instance
MISSING = Failure(kind="NotFound", reason="NOT_FOUND", what="it does not exist", subject="x")


def test_a_batch_creates_and_deletes_many_and_tells_who_failed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, "n-3")
            requests = [
                {"instance_id": f"n-{number}", "instance": ZONE | {"ram": 64}}
                for number in range(60)
            ]
            operation = await call(
                channel,
                "InstanceService.BatchCreateInstances",
                parent="orgs/default",
                requests=requests,
            )
            assert metadata_of(operation).target == "orgs/default"
            operation = await ended(channel, operation)
            made = await done(
                channel, operation, instance_service_pb2.BatchCreateInstancesResponse()
            )
            assert len(made.instances) == 59
            failed = metadata_of(operation).failed_requests
            # It would be that of one of sixty.
            assert not metadata_of(operation).HasField("placement")
            assert {index: status.code for index, status in failed.items()} == {3: 6}
            assert {one.state for one in made.instances} == {Instance.RUNNING}
            operation = await call(
                channel,
                "InstanceService.BatchDeleteInstances",
                parent="orgs/-",
                names=[f"orgs/default/instances/n-{number}" for number in range(60)],
            )
            await done(channel, operation)
            assert len(stage.catalog.specs) == len(stage.catalog.addresses) == 0
            left = await stage.store.range(b"operation_input/", b"operation_input0")
            assert left.kvs == ()

    play(scene)


def test_a_batch_is_checked_whole_before_any_of_it_is_done(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            requests = [
                {"instance_id": "a", "instance": ZONE},
                {"instance_id": "a", "instance": ZONE},
                {"instance_id": "b", "instance": {"image": "images/none"}},
                {"instance_id": "c", "parent": "orgs/other", "instance": ZONE},
            ]
            told = await refused(
                call(
                    channel,
                    "InstanceService.BatchCreateInstances",
                    parent="orgs/default",
                    requests=requests,
                )
            )
            assert told.code == "INVALID_ARGUMENT"
            assert set(told.fields) >= {
                "requests[1].instance_id",
                "requests[2].instance.image",
                "requests[3].parent",
            }
            assert len(stage.catalog.specs) == 0

    play(scene)


def test_a_batch_can_be_tried_without_doing_it(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, "n-0", ZONE | {"ram": 64})
            requests = [
                {"instance_id": f"n-{n}", "instance": {**ZONE, "ram": 400}} for n in range(4)
            ]
            operation = await call(
                channel,
                "InstanceService.BatchCreateInstances",
                parent="orgs/default",
                requests=requests,
                validate_only=True,
            )
            made = await done(
                channel, operation, instance_service_pb2.BatchCreateInstancesResponse()
            )
            assert len(made.instances) == 2
            failed = metadata_of(operation).failed_requests
            # The name of the first is taken, and for the last there is no room.
            assert {index: status.code for index, status in failed.items()} == {0: 6, 3: 8}
            assert not metadata_of(operation).HasField("placement")
            assert len(stage.catalog.specs) == 1

    play(scene, HostSettings(capacity=Shares(cpu=400, memory=1024, disk=100)))


def test_a_batch_with_many_addresses_and_images_is_created_and_deleted(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            zones = [
                {**ZONE, "ram": 64, "nics": [{"network": "networks/lan", "ips": _ips(n, 5)}]}
                for n in range(20)
            ]
            machines = [
                {
                    "brand": "KVM",
                    "ram": 64,
                    "nics": [{"network": "networks/lan"}] * 2,
                    "disks": [{"image": "images/disk", "boot": True}, {"image": "images/disk"}],
                }
                for _ in range(26)
            ]
            names = [f"n-{number}" for number in range(len(zones + machines))]
            operation = await call(
                channel,
                "InstanceService.BatchCreateInstances",
                parent="orgs/default",
                requests=[
                    {"instance_id": own, "instance": instance}
                    for own, instance in zip(names, zones + machines, strict=True)
                ],
            )
            operation = await ended(channel, operation)
            assert dict(metadata_of(operation).failed_requests) == {}
            operation = await call(
                channel,
                "InstanceService.BatchDeleteInstances",
                parent="orgs/-",
                names=[f"orgs/default/instances/{own}" for own in names],
            )
            await done(channel, operation)
            assert len(stage.catalog.specs) == len(stage.catalog.addresses) == 0
            assert len(stage.catalog.claims) == 0

    play(scene, HostSettings(capacity=Shares(cpu=6_400, memory=256_000, disk=40_000)))


def _ips(number: int, count: int) -> list[str]:
    return [f"fd00::{number + 1:x}:{index:x}/64" for index in range(count)]


def test_more_addresses_than_one_transaction_claims_are_refused_with_the_bound(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            nics = [{"network": "networks/lan", "ips": _ips(number, 20)} for number in range(5)]
            told = await refused(create(channel, given={**ZONE, "nics": nics}))
            assert (told.code, told.fields) == ("INVALID_ARGUMENT", ["instance.nics"])
            assert "at most 97" in told.details["BadRequest"].field_violations[0].description
            nics[4]["ips"] = _ips(4, 17)
            assert len((await create(channel, given={**ZONE, "nics": nics})).nics) == 5

    play(scene)


def test_a_batch_deletes_what_it_can_and_tells_the_rest_by_its_place(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            web, db, kept, gone = (
                f"orgs/default/instances/{own}" for own in ("web", "db", "kept", "gone")
            )
            for own in ("web", "db"):
                await create(channel, own)
            await create(channel, "kept", {**ZONE, "deletion_protection": True})
            path, listed = "InstanceService.BatchDeleteInstances", [gone, web, kept, db, web]
            request = {"parent": "orgs/default", "names": listed}
            tried = await call(channel, path, validate_only=True, **request)
            operation = await ended(channel, await call(channel, path, **request))
            await done(channel, operation)
            for own in (tried, operation):
                failed = metadata_of(own).failed_requests
                assert {index: status.code for index, status in failed.items()} == {0: 5, 2: 9}
                assert failed[0].message.startswith(f"{gone}: it does not exist")
                assert failed[2].message.startswith(f"{kept}: it is protected")
            assert [entry.record.id for entry in stage.catalog.specs] == ["kept"]

    play(scene)


@given(st.data())
def test_accepting_a_chunk_of_a_batch_always_fits_one_transaction(data: st.DataObject) -> None:
    images = st.lists(st.integers(0, 200), max_size=limits.DISKS, unique=True)
    specs = [
        zone(number, brand="kvm", disks=tuple(Disk(path=str(n), image=str(n)) for n in own))
        for number, own in enumerate(data.draw(st.lists(images, min_size=1, max_size=60)))
    ]
    size = chunk_size(specs)
    assert 1 <= size <= limits.CHUNK_INSTANCES
    for first in range(0, len(specs), size):
        chunk = specs[first : first + size]
        compared = {disk.image for spec in chunk for disk in spec.disks}
        # The operation, and of each instance its spec and its index.
        assert 1 + 2 * len(chunk) + len(compared) <= TXN_COMPARES


def test_a_batch_of_which_nothing_can_be_deleted_says_so_and_does_nothing(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            operation = await call(
                channel,
                "InstanceService.BatchDeleteInstances",
                parent="orgs/default",
                names=[f"orgs/default/instances/n-{number}" for number in range(1_000)],
            )
            assert operation.done
            assert operation.name == ""
            assert len(metadata_of(operation).failed_requests) == 1_000
            assert len(stage.catalog.operations) == 0

    play(scene)


def test_a_request_that_fails_later_is_told_by_its_own_place() -> None:
    record = Operation(
        id="op-1", kind="delete_instances", target="orgs/default", principal="admin",
        create_time=1.0, deadline=2.0, uids=("a", "b"), failures={"1": MISSING},
        input=told_of([1, 3], {0: MISSING, 2: MISSING}),
    )  # fmt: skip
    assert [index for index, _ in failures(record)] == [3, 0, 2]


def test_a_thousand_refusals_fit_into_a_record() -> None:
    longest = f"orgs/default/instances/{'n' * 63}"
    refused = {n: msgspec.structs.replace(MISSING, subject=longest) for n in range(1_000)}
    assert len(msgspec.json.encode(told_of(range(1_000), refused))) < VALUE_BYTES // 2


def test_what_fails_of_a_batch_is_told_by_the_instances_name(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel, "taken", {**ZONE, "ram": 64})
            stage.simulated.faults.add(Fault("start", "error", times=1, text="no start"))
            requests = [
                {"instance_id": "stuck", "instance": {**ZONE, "ram": 64}},
                {"instance_id": "large", "instance": {**ZONE, "ram": 4_000_000}},
                {"instance_id": "taken", "instance": {**ZONE, "ram": 64}},
            ]
            operation = await call(
                channel,
                "InstanceService.BatchCreateInstances",
                parent="orgs/default",
                requests=requests,
            )
            operation = await ended(channel, operation)
            failed = metadata_of(operation).failed_requests
            assert sorted(failed) == [0, 1, 2]
            for index, request in enumerate(requests):
                own = f"orgs/default/instances/{request['instance_id']}"
                assert failed[index].message.startswith(f"{own}: "), failed[index].message

    play(scene)
