"""What is said to an OCI runtime, and what is made of its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.hypervisors.linux.commands import CommandOutput
from fifo.hypervisors.linux.runtime import Runtime
from fifo.model.errors import DriverFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UID = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize("gone", [True, False])
async def test_a_container_that_somebody_else_deletes_meanwhile_is_deleted(
    tmp_path: Path, *, gone: bool
) -> None:
    (tmp_path / UID).mkdir()

    async def run(
        argv: Sequence[str], *, stdin: bytes = b"", deadline_s: float, netns: str | None = None
    ) -> CommandOutput:
        assert (argv[0], argv[-3:]) == ("crun", ["delete", "--force", UID])
        assert (stdin, netns) == (b"", None)
        assert deadline_s > 0
        if gone:
            (tmp_path / UID).rmdir()
        return CommandOutput(1, b"", b"cannot rm state directory: No such file or directory")

    runtime = Runtime(run, "crun", tmp_path)
    if gone:
        await runtime.delete(UID)
        await runtime.delete(UID)
    else:
        with pytest.raises(DriverFailed, match="cannot rm"):
            await runtime.delete(UID)
