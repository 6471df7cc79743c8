"""The audit is lines of JSON, on disk when they are answered, in files of a bounded size."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from fifo.api.audit import Audit, AuditFile, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

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
        "audit.1.jsonl", "audit.2.jsonl", "audit.jsonl",
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
