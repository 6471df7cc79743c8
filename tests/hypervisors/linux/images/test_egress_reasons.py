"""What a pull that failed is told to have failed of: by skopeo, by its way out, or by both.

Which of its commands meets a mirror that is refused is up to these tests, not to a real skopeo.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux.commands import CommandOutput
from fifo.hypervisors.linux.images import registry, targets
from fifo.model.errors import DriverFailed, FifoError, Forbidden, NoRoom
from tests.hypervisors.linux.runner import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces")

MADE = b'{"config": {"digest": "sha256:0", "size": 1}}'
MIRROR = "10.1.2.3"
NOT_ALLOWED = b"2"
ASKED = f"""
import os, socket
port = int(os.environ["HTTPS_PROXY"].rpartition(":")[2])
with socket.create_connection(("127.0.0.1", port)) as proxy:
    proxy.sendall(bytes((5, 1, 0)))
    proxy.recv(2)
    proxy.sendall(bytes((5, 1, 0, 1)) + socket.inet_aton("{MIRROR}") + bytes((1, 187)))
    print(proxy.recv(10)[1])
"""
BROKEN = b"unexpected status from GET request: 500 Internal Server Error"
FULL = b"write layer: no space left on device"


def admitted(host: str, port: int, *, private: bool, **more: Any) -> list[str]:
    """Know the registry to be out in the world, and everything else as what it is."""
    found = [host] if host == MIRROR else ["93.184.216.34"]
    return targets.admitted(host, port, private=private, ask=lambda *_: found, **more)


async def skopeo(
    argv: Sequence[str], *, refused: str, words: bytes, netns: str, **_: Any
) -> CommandOutput:
    """Meet the mirror in the commands of a name; of all, only a look succeeds."""
    if refused in argv:
        environment = [each for each in argv if each.startswith("HTTP")]
        asking = ["env", *environment, sys.executable, "-c", ASKED]
        told = await run(asking, netns=netns, deadline_s=10.0)
        assert told.stdout.strip() == NOT_ALLOWED
    return CommandOutput(0, MADE, b"") if "inspect" in argv else CommandOutput(1, b"", words)


@pytest.mark.parametrize(
    ("refused", "words", "error", "match"),
    [
        ("inspect", BROKEN, DriverFailed, r"^docker://registry\.example\.org.*500 Internal"),
        ("copy", BROKEN, Forbidden, f"leads to {MIRROR}, which is not public.*500 Internal"),
        ("copy", FULL, NoRoom, "no space left"),
    ],
)
async def test_a_refused_mirror_is_told_of_the_command_that_met_it_and_with_its_words(
    tmp_path: Path, refused: str, words: bytes, error: type[FifoError], match: str
) -> None:
    with pytest.raises(error, match=match):
        await registry.pull(
            partial(skopeo, refused=refused, words=words),
            "docker://registry.example.org/name:tag", tmp_path / "layout", 10,
            machine="x86_64", private=False, ask=admitted,
        )  # fmt: skip
