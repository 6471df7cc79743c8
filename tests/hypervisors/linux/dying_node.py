"""Nodes that die: `python -m tests.hypervisors.linux.dying_node`.

It reads one `Life` a line, as JSON. For each a process is forked off: a node on a test's share of
the host. It opens a driver, which takes over what the last one left; does again what
that one died in, and looks whether the host is as if nothing had happened; and does the operation
once more, until it dies by SIGKILL itself. What it died at is written on the standard output, a
line, and an empty line when it is dead.

They are forked, since a node that starts from nothing takes a second to load its modules.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from fifo.hypervisors.linux import probe
from fifo.hypervisors.linux.runtime import Runtime
from tests.hypervisors.linux.killing import Death, When
from tests.hypervisors.linux.operations import OPERATIONS, Subject
from tests.hypervisors.linux.shape import Shape, files, shape_of
from tests.hypervisors.linux.vm.vm_host import VmHost, known_accelerator
from tests.hypervisors.linux.zone_host import ZoneHost, network

if TYPE_CHECKING:
    from typing import NoReturn

    from fifo.hypervisors.linux.commands import Run

HOSTS = {"zone": ZoneHost, "vm": VmHost}
FINISHED = "finished"
WRONG = "wrong"
STALLS = "stalls as "


class Shapes(NamedTuple):
    """What a host is like before an operation, and after it."""

    before: Shape
    after: Shape


class Place(NamedTuple):
    """A share of the host: `host` is what its `arguments` gives, `source` an image to import."""

    kind: Literal["zone", "vm"]
    host: tuple[str, str, str, str]
    source: str

    def subject(self) -> Subject:
        """Give what is there to be done something to."""
        directory, prefix, first, second = self.host
        made = HOSTS[self.kind](Path(directory), prefix, network(int(first), int(second)))
        return Subject(made, self.source)


class Life(NamedTuple):
    """What a node does: an operation until its n-th effect; for no shapes it only finds them.

    One that dies `stalled` says its pid, for a server that kills it in the middle of an answer.
    """

    place: Place
    operation: str
    at: int = 0
    when: When | Literal["stalled"] = "before"
    shapes: Shapes | None = None


def tell(line: str) -> None:
    """Say a line, whatever happens next."""
    os.write(sys.stdout.fileno(), line.replace("\n", " ").encode() + b"\n")


async def live(subject: Subject, life: Life) -> None:
    """Open a driver, repeat what was cut off, and do it again until death."""
    before, act = OPERATIONS[life.operation]
    host = subject.host
    await host.open()
    if life.shapes is None:
        # The first time there comes what instances share, and stays.
        await before(subject)
        await act(subject)
        after = await shape_of(host)
        await before(subject)
        tell(msgspec.json.encode(Shapes(await shape_of(host), after)).decode())
        return
    half = [path for path in files(host.directory) if "/.new-" in path or "/.gone-" in path]
    assert not half, f"not swept away: {half}"
    await act(subject)
    _same(life.shapes.after, await shape_of(host), "after it was done again")
    await before(subject)
    _same(life.shapes.before, await shape_of(host), "before it is done once more")
    if life.when == "stalled":
        tell(f"{STALLS}{os.getpid()}")
    else:
        Death(host.directory, life.at, life.when, tell)
    await act(subject)
    tell(FINISHED)
    os.kill(os.getpid(), signal.SIGKILL)


def _same(wanted: Shape, found: Shape, when: str) -> None:
    for field, one, other in zip(wanted._fields, wanted, found, strict=True):
        assert one == other, f"{field} {when} are {other}, not {one}"


def be_a_node(life: Life) -> NoReturn:
    """Live, and die in the end whatever happens."""
    try:
        asyncio.run(live(life.place.subject(), life))
    except BaseException as error:  # noqa: BLE001 -- it is the process's last, and is told
        traceback.print_exc()
        tell(f"{WRONG}: {error!r}")
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)


async def known_runtime(run: Run, _: Any, __: Any, directory: Path) -> probe.Found:
    """Give an answer to the trial of runtimes, so that it is not made by each node anew."""
    return probe.Found(Runtime(run, "runc", directory), "", {})


def main() -> None:
    """Have one node after the other."""
    setattr(probe, "find_runtime", known_runtime)  # noqa: B010 -- of this process alone
    for line in sys.stdin:
        life = msgspec.json.decode(line, type=Life)
        if life.place.kind == "vm":
            # Here, so that it is known to every node that comes.
            known_accelerator()
        pid = os.fork()
        if pid == 0:
            be_a_node(life)
        os.waitpid(pid, 0)
        tell("")


if __name__ == "__main__":
    main()
