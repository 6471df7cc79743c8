"""Nobody gets in without credentials, by any method; and what they bring is checked every time."""

from __future__ import annotations

import importlib
import json
import pkgutil
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from google.longrunning import operations_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

import fifo.v1
from fifo.api.methods import METHODS
from fifo.model import keys
from fifo.security import tokens
from tests.api.calls import (
    call,
    callable_of,
    described,
    end_of,
    refusal_of,
    refused,
    request_class,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.api.methods import Method
    from tests.api.calls import Refusal
    from tests.api.stage import Stage

    Play = Callable[..., None]


def test_every_method_of_the_descriptors_is_in_the_table_once() -> None:
    files = [operations_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
    files += [
        importlib.import_module(f"fifo.v1.{module.name}").DESCRIPTOR
        for module in pkgutil.iter_modules(fifo.v1.__path__)
        if module.name.endswith("_pb2")
    ]
    served = {
        (service.full_name, method.name)
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }
    assert {(method.service, method.name) for method in METHODS} == served
    assert len(METHODS) == len(served)


def test_what_changes_something_is_audited_and_what_reads_says_so() -> None:
    for method in METHODS:
        if method.service.startswith("fifo.v1."):
            no_side_effects = described(method).GetOptions().idempotency_level == 1
            assert no_side_effects == (method.kind == "read"), method
        assert method.audited or method.kind == "read"
        assert (method.deadline_s is None) == (
            described(method).client_streaming or described(method).server_streaming
        )


async def attempt(channel: grpc.aio.Channel, method: Method) -> Refusal:
    """Call a method with an empty request and give how it is refused."""
    request = request_class(method)()
    own = described(method)
    started = callable_of(channel, method)(iter([request]) if own.client_streaming else request)
    try:
        if own.server_streaming:
            async for _ in started:
                pass
        else:
            await started
    except grpc.aio.AioRpcError as error:
        return refusal_of(error)
    raise AssertionError(f"{method.path} let somebody in")


CREDENTIALS = [
    ("", "TOKEN_MISSING"),
    ("fpat_000000000000_" + "0" * 64, "TOKEN_WRONG"),
    ("nonsense", "TOKEN_WRONG"),
]


@pytest.mark.parametrize(("token", "reason"), CREDENTIALS, ids=["none", "unknown", "nonsense"])
def test_no_method_lets_anybody_in_without_a_good_token(
    play: Play, token: str, reason: str
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel(token) as channel:
            for method in METHODS:
                told = await attempt(channel, method)
                assert (told.code, told.reason) == ("UNAUTHENTICATED", reason), method.path
        assert stage.world.catalog.operations.entries == {}

    play(scene)


def test_a_wrong_secret_and_an_unknown_id_are_told_alike(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        known = stage.token[:18]
        for token in (known + "0" * 64, "fpat_ffffffffffff_" + "0" * 64):
            async with stage.channel(token) as channel:
                told = await refused(call(channel, "AdminService.GetNodeInfo"))
                assert (told.code, told.reason) == ("UNAUTHENTICATED", "TOKEN_WRONG")
                assert (
                    told.message == "the token is not good; use the present one, or reset it "
                    "on the node: fifo admin token reset"
                )

    play(scene)


def test_without_tls_nobody_is_heard(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.api.port}") as channel:
            told = await refused(call(channel, "Health.Check"))
            assert told.code == "UNAVAILABLE"

    play(scene)


def test_the_local_socket_is_the_admin_for_who_may_enter_its_directory(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        assert stage.settings.socket.parent.stat().st_mode & 0o777 == 0o700
        assert stage.settings.socket.stat().st_mode & 0o777 == 0o600
        async with stage.local_channel() as channel:
            info = await call(channel, "AdminService.GetNodeInfo")
            assert info.node_id == "node-1"

    play(scene)


def test_a_token_is_reset_on_the_local_socket_alone_and_the_old_one_is_dead(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            told = await refused(call(channel, "AdminService.ResetAdminToken"))
            assert told.code == "PERMISSION_DENIED"
            assert told.details["ErrorInfo"].metadata["permission"] == "local.token.reset"
            async with stage.local_channel() as local:
                made = await call(local, "AdminService.ResetAdminToken")
            assert made.token_file == str(stage.settings.directory / "admin.token")
            written = (stage.settings.directory / "admin.token").read_text().strip()
            assert made.token == written != stage.token
            told = await refused(call(channel, "AdminService.GetNodeInfo"))
            assert told.code == "UNAUTHENTICATED"
        async with stage.channel(made.token) as channel:
            await call(channel, "AdminService.GetNodeInfo")
        stored = await stage.store.range(keys.TOKEN, keys.end_of(keys.TOKEN))
        assert len(stored.kvs) == 1
        assert made.token.rpartition("_")[2].encode() not in stored.kvs[0].value

    play(scene)


def test_the_token_file_and_all_private_files_are_the_owners_alone(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        for path in stage.settings.directory.rglob("*"):
            assert path.stat().st_mode & 0o077 == 0, path

    play(scene)


def test_the_same_token_is_good_after_a_restart(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        before = stage.token
        await stage.api.stop(0)
        await stage.start_api()
        assert stage.token == before
        async with stage.channel(before) as channel:
            await call(channel, "AdminService.GetNodeInfo")

    play(scene)


def test_every_token_is_good_after_a_restart_however_many_there_are(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        made = [tokens.make(bytes((n,)) * 6, bytes((n,)) * 32, 0.0) for n in range(5)]
        for own in made:
            await stage.write(keys.TOKEN, own.record.id, own.record)
        await stage.api.stop(0)
        whole = stage.store.range

        def few(*interval: bytes, limit: int = 2, **more: Any) -> Any:
            return whole(*interval, limit=min(limit, 2), **more)

        monkeypatch.setattr(stage.store, "range", few)
        await stage.start_api()
        for own in made:
            async with stage.channel(own.text) as channel:
                await call(channel, "AdminService.GetNodeInfo")

    play(scene)


def test_a_stream_ends_when_its_token_is_revoked(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel, stage.local_channel() as local:
            watch = stream(channel, "EventService.Watch", snapshot=True)
            other = stream(local, "EventService.Watch", snapshot=True)
            assert (await watch.read()).snapshot_done
            assert (await other.read()).snapshot_done
            await call(local, "AdminService.ResetAdminToken")
            assert (await end_of(watch, 1)).code == "UNAUTHENTICATED"
            assert not other.done()
            other.cancel()

    play(scene)


def audited(stage: Stage) -> list[dict[str, Any]]:
    lines = (stage.settings.directory / "audit" / "audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_mutations_and_refusals_are_in_the_audit_before_they_are_answered(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel, stage.channel("") as stranger:
            await call(channel, "PackageService.GetPackage", name="packages/small")
            assert not (stage.settings.directory / "audit" / "audit.jsonl").exists()
            await call(
                channel, "PackageService.CreatePackage", package_id="large", package={"quota": 20}
            )
            await refused(call(channel, "PackageService.DeletePackage", name="packages/none"))
            await refused(call(stranger, "PackageService.GetPackage", name="packages/small"))
            entries = audited(stage)
        told = [(e["principal"], e["method"].rpartition("/")[2], e["code"]) for e in entries]
        assert told == [
            ("admin", "CreatePackage", "BEGUN"),
            ("admin", "CreatePackage", "OK"),
            ("admin", "DeletePackage", "BEGUN"),
            ("admin", "DeletePackage", "NOT_FOUND"),
            ("anonymous", "GetPackage", "UNAUTHENTICATED"),
        ]
        begun, created, _, refusal, _ = entries
        assert (begun["resource"], created["resource"]) == ("package_id=large", "packages/large")
        assert begun["id"] == created["id"] != refusal["id"]
        assert created["token"] == stage.token.split("_")[1]
        assert refusal["resource"] == "packages/none"
        assert stage.token not in (stage.settings.directory / "audit" / "audit.jsonl").read_text()

    play(scene)


def test_nothing_is_changed_while_the_audit_cannot_be_written(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(stage: Stage) -> None:
        def fail(data: bytes) -> None:
            raise OSError(28, "No space left on device")

        async with stage.channel() as channel:
            monkeypatch.setattr(stage.api.audit._file, "append", fail)
            for own in ("a", "b"):
                told = await refused(
                    call(channel, "PackageService.CreatePackage", package_id=own, package={})
                )
                assert (told.code, told.reason) == ("RESOURCE_EXHAUSTED", "AUDIT_BROKEN")
            listed = await call(channel, "PackageService.ListPackages")
            assert [one.name for one in listed.packages] == ["packages/small"]
            monkeypatch.undo()
            await call(channel, "PackageService.CreatePackage", package_id="b", package={})
            # What was refused when the disk was full is told now.
            told_now = [(entry["resource"], entry["code"]) for entry in audited(stage)]
            assert told_now == [
                ("package_id=a", "BEGUN"),
                ("package_id=a", "RESOURCE_EXHAUSTED"),
                ("package_id=b", "BEGUN"),
                ("packages/b", "OK"),
            ]

    play(scene)
