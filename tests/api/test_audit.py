"""The audit is lines of JSON, on disk when they are answered, in files of a bounded size."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fifo.api.audit import Audit, AuditFile, Entry
from fifo.model.errors import NoRoom
from tests.api.calls import call, stream
from tests.api.test_insides import Attach, conversation
from tests.api.test_instances import WEB, create
from tests.hypervisors.linux.full_disk import mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from tests.api.stage import Stage

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


def entry(number: int) -> Entry:
    return Entry(at=float(number), principal="admin", method="/a/B", code="OK", reason="x" * 50)


def lines(path: Path) -> list[float]:
    return [json.loads(line)["at"] for line in path.read_text().splitlines()]


def test_entries_that_come_together_go_to_disk_together(run: Run, tmp_path: Path) -> None:
    syncs: list[int] = []

    class Counting(AuditFile):
        def append(self, data: bytes) -> None:
            syncs.append(data.count(b"\n"))
            super().append(data)

    async def scene() -> None:
        audit = Audit(Counting(tmp_path))
        await asyncio.gather(*(audit.note(entry(number)) for number in range(100)))
        await audit.close()
        assert audit.entries == 100

    run(scene())
    assert sum(syncs) == 100
    assert len(syncs) < 20
    assert lines(tmp_path / "audit.jsonl") == [float(number) for number in range(100)]


def test_files_are_begun_anew_at_a_size_and_the_oldest_go(tmp_path: Path) -> None:
    file = AuditFile(tmp_path, file_bytes=100, files=3)
    for number in range(10):
        file.append(b'{"at": %d, "filled": "%s"}\n' % (number, b"x" * 60))
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "audit.1.jsonl", "audit.2.jsonl", "audit.jsonl", "reserve",
    ]  # fmt: skip
    assert lines(tmp_path / "audit.jsonl") == [9]
    assert lines(tmp_path / "audit.2.jsonl") == [7]


def test_a_line_that_a_crash_cut_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(b'{"at": 1}\n{"at": 2')
    file = AuditFile(tmp_path)
    file.append(b'{"at": 3}\n')
    file.close()
    told = (tmp_path / "audit.jsonl").read_bytes().splitlines()
    assert told == [b'{"at": 1}', b'{"at": 2', b'{"at": 3}']


def test_a_write_that_fails_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AuditFile(tmp_path)
    file.append(b'{"at": 1}\n')
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) > 5:
            return real(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space"):
            file.append(b'{"at": 2}\n')
    file.append(b'{"at": 3}\n')
    file.close()
    assert lines(tmp_path / "audit.jsonl") == [1, 3]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_lets_what_makes_room_be_told_and_done_and_nothing_else(run: Run) -> None:
    begun = Entry(at=1.0, principal="admin", method="/a/B", code="BEGUN", reason="x" * 4000, id="a")

    async def scene() -> None:
        with mounted(4 * 1024**2) as disk:
            audit = Audit(AuditFile(disk.place / "audit", reserve_bytes=512 * 1024))
            await audit.begin(begun, frees=False)
            disk.leave(0)
            for _ in range(20):
                await audit.require(frees=True)
                await audit.begin(begun, frees=True)
                for refused in (audit.require(frees=False), audit.begin(begun, frees=False)):
                    with pytest.raises(NoRoom) as refusal:
                        await refused
                    assert refusal.value.reason_text == "DISK_FULL"
            assert len(lines(disk.place / "audit" / "audit.jsonl")) == 41
            while not audit.broken:
                await audit.note(begun)
            with pytest.raises(NoRoom, match="the audit cannot be written"):
                await audit.require(frees=True)
            disk.clear()
            await audit.require(frees=False)
            assert (disk.place / "audit" / "reserve").stat().st_size == 512 * 1024
            await audit.close()

    run(scene())


def test_refusals_beyond_the_bound_are_counted_in_the_next_entry(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fifo.api.limits.AUDIT_WAITING", 3)

    async def scene() -> None:
        audit = Audit(AuditFile(tmp_path))
        await asyncio.gather(*(audit.note(entry(number)) for number in range(10)))
        await audit.note(entry(99))
        await audit.close()

    run(scene())
    told = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["at"] for line in told] == [0, 1, 2, 99]
    assert told[-1]["dropped"] == 7


def codes(path: Path) -> list[tuple[str, str]]:
    return [
        (line.get("id", ""), line["code"])
        for line in map(json.loads, path.read_text().splitlines())
    ]


def line(own: str, code: str) -> bytes:
    told = {"at": 1.0, "principal": "admin", "method": "/a/B", "code": code, "id": own}
    return json.dumps(told).encode() + b"\n"


def test_what_a_life_left_open_is_told_once_by_the_next(tmp_path: Path) -> None:
    file = AuditFile(tmp_path)
    for own, code in (("a", "BEGUN"), ("b", "BEGUN"), ("a", "OK"), ("", "PERMISSION_DENIED")):
        file.append(line(own, code))
    file.close()
    with (tmp_path / "audit.jsonl").open("ab") as cut:
        cut.write(b'{"at": 2, "code": "BEG')
    for expected in (1, 0):
        file = AuditFile(tmp_path)
        assert file.recover(9.0) == expected
        file.close()
    last = json.loads((tmp_path / "audit.jsonl").read_text().splitlines()[-1])
    assert last == {
        "at": 9.0, "principal": "admin", "method": "/a/B", "code": "UNKNOWN",
        "reason": "THE_NODE_ENDED", "id": "b",
    }  # fmt: skip


def test_what_is_open_is_carried_into_each_new_file(tmp_path: Path) -> None:
    file = AuditFile(tmp_path, file_bytes=300, files=2)
    file.append(line("long", "BEGUN"))
    for number in range(20):
        file.append(line(f"s{number}", "BEGUN"))
        file.append(line(f"s{number}", "OK"))
    file.close()
    assert ("long", "BEGUN") in codes(tmp_path / "audit.jsonl")
    file = AuditFile(tmp_path)
    assert file.recover(9.0) == 1
    assert codes(tmp_path / "audit.jsonl")[-1] == ("long", "UNKNOWN")
    file.append(line("next", "BEGUN"))
    file.close()


def test_a_change_that_no_line_tells_of_is_never_made_and_one_cut_off_is_told(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def scene(stage: Stage) -> None:
        directory = stage.settings.directory / "audit"
        reached, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()
        append = stage.api.audit._file.append

        def held(data: bytes) -> None:
            if b'"OK"' in data:
                loop.call_soon_threadsafe(reached.set)
                go_on.wait(10)
            append(data)

        monkeypatch.setattr(stage.api.audit._file, "append", held)
        async with stage.channel() as channel:
            path = "PackageService.CreatePackage"
            making = asyncio.ensure_future(call(channel, path, package_id="new", package={}))
            await reached.wait()
            # The moment between the commit and its line: a kill here leaves this on the disk.
            listed = await call(channel, "PackageService.ListPackages")
            assert "packages/new" in [one.name for one in listed.packages]
            assert not making.done()
            shutil.copytree(directory, tmp_path / "left")
            go_on.set()
            await making
        file = AuditFile(tmp_path / "left")
        assert file.recover(stage.world.utc()) == 1
        file.close()
        told = [json.loads(one) for one in (tmp_path / "left/audit.jsonl").read_text().splitlines()]
        assert [(one["code"], one["resource"]) for one in told] == [
            ("BEGUN", "package_id=new"),
            ("UNKNOWN", "package_id=new"),
        ]

    play(scene)


def test_a_shell_is_in_the_audit_while_it_is_open_and_a_caller_who_leaves_ends_its_line(
    play: Callable[..., None],
) -> None:
    async def scene(stage: Stage) -> None:
        file = stage.settings.directory / "audit" / "audit.jsonl"
        async with stage.channel() as channel:
            await create(channel)
            opened = Attach(open=Attach.Open(name=WEB))
            frames = conversation(opened, then=asyncio.Event())
            shell = stream(channel, "ConsoleService.Attach", frames)
            await shell.read()
            begun, code = codes(file)[-1]
            assert code == "BEGUN"
            shell.cancel()
            while codes(file)[-1] != (begun, "CANCELLED"):
                await call(channel, "InstanceService.GetInstance", name=WEB)

    play(scene)
