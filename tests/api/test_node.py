"""A node's own affairs: its tree, its health, its store, its overload and its end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from fifo.model.errors import NotReady
from fifo.security.certificates import Certificates
from fifo.v1 import supervision_service_pb2
from supervisors import GenServer
from tests.api.calls import BY_NAME, call, callable_of, end_of, refused, stream
from tests.api.stage import serving
from tests.api.test_instances import WEB, create

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.api.stage import Stage

    Play = Callable[..., None]
    Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_the_tree_is_told_and_followed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            tree = await call(channel, "SupervisionService.GetTree", root="root", depth=2)
            assert tree.processes[0].registered_name == "root"
            assert tree.processes[0].supervision.strategy == "rest_for_one"
            assert {row.depth for row in tree.processes} == {0, 1}
            whole = await call(channel, "SupervisionService.GetTree")
            assert len(whole.processes) > len(tree.processes)
            named = next(row for row in whole.processes if row.registered_name.startswith("("))
            part = await call(channel, "SupervisionService.GetTree", root=named.registered_name)
            assert part.processes[0].pid == named.pid
            told = await refused(call(channel, "SupervisionService.GetTree", root="nobody"))
            assert told.code == "NOT_FOUND"
            watch = stream(channel, "SupervisionService.WatchTree")
            first = await watch.read()
            assert first.tree.process_count == len(first.tree.processes)
            await stage.node.start(GenServer, name="somebody")
            change = (await watch.read()).changes.changes[0]
            assert change.type == supervision_service_pb2.TreeChange.BEGAN
            assert change.registered_name == "somebody"
            assert change.sequence > first.tree.sequence
            watch.cancel()

    play(scene)


def test_the_node_and_its_store_say_what_they_are(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            info = await call(channel, "AdminService.GetNodeInfo")
            assert info.hypervisor == "hypervisors/host-1"
            assert info.ca_sha256 == stage.api.certificates.ca_sha256
            assert info.certificate_expire_time.seconds > info.start_time.seconds
            store = await call(channel, "AdminService.GetStoreInfo")
            assert store.incarnation == stage.store.incarnation
            assert store.revision == stage.store.revision
            frames = await call(channel, "AdminService.BackupStore")
            assert [len(frame.data) for frame in frames] == [1024 * 1024, 1, 0]
            assert frames[-1].summary.revision == 7
            bundle = await call(channel, "AdminService.GetSupportBundle", max_log_bytes=2)
            assert b"".join(frame.data for frame in bundle) == b"yy"

    play(scene)


def test_a_store_that_is_nearly_full_is_among_what_an_operator_is_warned_of(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            info = await call(channel, "AdminService.GetNodeInfo")
            assert list(info.warnings) == []
            live_bytes = stage.store.statistics().live_bytes
            monkeypatch.setattr(stage.store, "_live_limit_bytes", live_bytes)
            (warning,) = (await call(channel, "AdminService.GetNodeInfo")).warnings
            assert warning.startswith("the store is nearly full")
            monkeypatch.undo()
            assert not (await call(channel, "AdminService.GetNodeInfo")).warnings

    play(scene)


def test_health_is_told_and_its_end_before_the_node_goes(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        serving_now = health_pb2.HealthCheckResponse.SERVING
        async with stage.channel() as channel:
            for service in ("", "fifo.v1.InstanceService"):
                assert (await call(channel, "Health.Check", service=service)).status == serving_now
            assert (await refused(call(channel, "Health.Check", service="x"))).code == "NOT_FOUND"
            assert (await call(channel, "Health.List")).statuses[""].status == serving_now
            watch = stream(channel, "Health.Watch")
            assert (await watch.read()).status == serving_now
            stopping = asyncio.create_task(stage.api.stop(5))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
            await stopping
        await stage.start_api()

    play(scene)


def test_reflection_lists_what_is_served(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        by_symbol = reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="fifo.v1.InstanceService"
        )
        async with stage.channel() as channel:
            method = BY_NAME["ServerReflection", "ServerReflectionInfo"]
            asked = callable_of(channel, method)(iter([request, by_symbol]))
            listed, found = [answer async for answer in asked]
            names = {service.name for service in listed.list_services_response.service}
            assert {"fifo.v1.InstanceService", "google.longrunning.Operations"} <= names
            assert found.file_descriptor_response.file_descriptor_proto

    play(scene)


# -- overload -------------------------------------------------------------------------------------


def test_each_class_of_calls_has_a_budget_of_its_own(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            first = stream(channel, "EventService.Watch", snapshot=True)
            assert await first.read() is not None
            told = await end_of(stream(channel, "EventService.Watch"))
            assert (told.code, told.reason) == ("UNAVAILABLE", "OVERLOADED")
            assert told.details["RetryInfo"].retry_delay.nanos > 0
            assert int(told.trailing["grpc-retry-pushback-ms"]) > 0
            await create(channel)
            await call(channel, "InstanceService.GetInstance", name=WEB)
            first.cancel()
            assert stage.api.door.budgets["watches"].refused == 1

    play(scene, watches=1)


def test_writes_beyond_their_budget_are_refused_and_reads_go_on(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()

    async def scene(stage: Stage) -> None:
        path = "PackageService.CreatePackage"
        append = stage.api.audit._file.append

        def slowly(data: bytes) -> None:
            held.wait(10)
            append(data)

        monkeypatch.setattr(stage.api.audit._file, "append", slowly)
        async with stage.channel() as channel:
            writing = [
                asyncio.ensure_future(call(channel, path, package_id=f"p{number}", package={}))
                for number in range(20)
            ]
            ended, waiting = await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
            while len(waiting) > 2:
                more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                ended |= more
            assert len(ended) == 18
            for one in ended:
                told = await refused(one)
                assert (told.code, told.reason) == ("UNAVAILABLE", "OVERLOADED")
            listed = await call(channel, "PackageService.ListPackages")
            assert len(listed.packages) == 1, "nothing is done before it is on disk"
            held.set()
            await asyncio.gather(*waiting)
            assert stage.api.door.budgets["writes"].in_flight == 0

    play(scene, writes=2)


def test_calls_are_counted_by_method_and_code(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await call(channel, "PackageService.GetPackage", name="packages/small")
            await refused(call(channel, "PackageService.GetPackage", name="packages/none"))
            (measures,) = [own for own in stage.api.measures if own.method == "GetPackage"]
            assert measures.started == measures.received == 2
            assert measures.codes == {"OK": 1, "NOT_FOUND": 1}
            assert sum(measures.latency.counts) == 2

    play(scene)


def test_a_burst_of_calls_is_served_to_the_last(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            one = call(channel, "InstanceService.GetInstance", name=WEB)
            await one
            answers = await asyncio.gather(
                *(call(channel, "InstanceService.GetInstance", name=WEB) for _ in range(1_500))
            )
            assert len(answers) == 1_500

    play(scene)


def test_a_bug_is_told_by_a_mark_and_written_to_the_log(
    play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            broken = dict[str, Any]()
            monkeypatch.setattr(stage.catalog.usage, "packages", broken)
            told = await refused(call(channel, "PackageService.GetPackage", name="packages/small"))
            assert (told.code, told.reason) == ("INTERNAL", "INTERNAL")
            marked = told.details["RequestInfo"].request_id
            assert marked in caplog.text
            assert "KeyError" in caplog.text
            assert "KeyError" not in told.message

    play(scene)


def test_bytes_that_are_no_message_are_refused(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            for data in (b"\xff" * 10, b"\x0a\x05hello"[:-1], b"\x0a\x01\xff"):
                raw: Any = channel.unary_unary("/fifo.v1.InstanceService/GetInstance")
                told = await refused(raw(data))
                assert told.code == "INVALID_ARGUMENT", data
            raw = channel.unary_unary("/fifo.v1.InstanceService/Nonsense")
            assert (await refused(raw(b""))).code == "UNIMPLEMENTED"

    play(scene)


def test_a_message_over_the_bound_is_refused_and_others_go_on(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            raw: Any = channel.unary_unary("/fifo.v1.InstanceService/GetInstance")
            told_code = "RESOURCE_EXHAUSTED"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await raw(b"\x0a" * (5 * 1024 * 1024))
            assert caught.value.code().name == told_code
            await call(channel, "AdminService.GetNodeInfo")

    play(scene)


def test_who_connects_and_says_nothing_is_dropped_and_harms_nobody(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", stage.api.port) for _ in range(50)]
        async with stage.channel() as channel:
            await call(channel, "AdminService.GetNodeInfo")
        async with asyncio.timeout(5):
            for reader, writer in silent:
                assert await reader.read() == b""
                writer.close()

    play(scene, handshake_s=0.2)


def test_connections_beyond_the_bound_are_refused_and_those_there_go_on(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await call(channel, "AdminService.GetNodeInfo")
            many = [await asyncio.open_connection("127.0.0.1", stage.api.port) for _ in range(30)]
            await call(channel, "AdminService.GetNodeInfo")
            for _, writer in many:
                writer.close()

    play(scene, connections=5)


def test_a_port_that_is_taken_is_told_with_what_to_do(run: Run) -> None:
    async def scene() -> None:
        async with serving() as stage:
            with pytest.raises(NotReady, match="listen"):
                async with serving(listen=f"127.0.0.1:{stage.api.port}"):
                    pass

    run(scene())


def test_a_new_connection_is_shown_the_renewed_certificate(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await call(channel, "AdminService.GetNodeInfo")
        before = stage.api.certificates.server
        real = Certificates._holds
        answers = iter([False])
        monkeypatch.setattr(
            Certificates, "_holds", lambda self, server: next(answers, True) and real(self, server)
        )
        async with stage.channel() as channel:
            info = await call(channel, "AdminService.GetNodeInfo")
        assert stage.api.certificates.server != before
        assert info.ca_sha256 == stage.api.certificates.ca_sha256

    play(scene)
