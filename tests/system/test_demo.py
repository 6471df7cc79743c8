"""The demo does what the README says, for whoever runs it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fifo.cli import exits
from fifo.cli.demo import remains
from fifo.hypervisors.linux import cgroups
from tests.house.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_S = 120
HOST = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("runc") or not shutil.which("qemu-system-x86_64"),
    reason="real zones and VMs want root, runc and QEMU",
)
CLEARED = "cleared away what an earlier demo left in"
SERVES = re.compile(r"unix:(/\S+)/run/api/fifo\.sock")
PARTS = (
    "three zones and a virtual machine",
    "kill -9 of a zone's init: web-2 runs again",
    "kill -9 of the VM's QEMU: vm-1 runs again",
    "web-3 untouched",
    "node (Supervisor)",
    "killed by signal 9",
    "fifo_instances{",
    "4 deleted",
    "Done in",
)


def play(home: Path, *options: str, **more: object) -> str:
    # A busy machine takes longer than one test may: this one has a limit of its own.
    faulthandler.cancel_dump_traceback_later()
    done = subprocess.run(
        [sys.executable, "-m", "fifo", "demo", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        check=False,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


class Played:
    """A demo under way, and what it has said so far; killed with its test at the latest."""

    def __init__(self, home: Path, *options: str) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fifo", "demo", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
        )
        self.said = ""
        self._limit = threading.Timer(LIMIT_S, self.process.kill)
        self._limit.start()

    def until(self, words: str) -> None:
        """Read on until it has said something."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if words in line:
                return
        raise AssertionError(f"it never said {words!r}: {self.said}")

    @property
    def base(self) -> Path:
        """Its directory; known when it serves."""
        found = SERVES.search(self.said)
        assert found is not None, self.said
        return Path(found[1])

    def end(self, number: int) -> int:
        """Send it a signal and give its exit status, with all it said read."""
        assert self.process.stdout is not None
        self.process.send_signal(number)
        self.said += self.process.stdout.read()
        status = self.process.wait()
        self.close()
        return status

    def close(self) -> None:
        self._limit.cancel()
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def type(self, *commands: str) -> str:
        """Do as it said in another terminal: some of its commands, by their beginnings."""
        lines = [line.strip() for line in self.said.splitlines()]
        where = next(line for line in lines if line.startswith("export "))
        wanted = [next(line for line in lines if own in line) for own in commands]
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", "\n".join((where, *wanted))],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home with its cache: only the first demo in it builds the guests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def demos(home: Path) -> Iterator[list[Played]]:
    """Give a list for the demos of a test, which ends them."""
    begun: list[Played] = []
    yield begun
    for played in begun:
        played.close()
    # After a test that failed: another demo clears away what it left.
    if begun and left_of_demos():
        last = Played(home, "--stay")
        last.until("Ctrl-C here")
        last.end(signal.SIGINT)


def begin(demos: list[Played], home: Path, *options: str) -> Played:
    demos.append(Played(home, *options))
    return demos[-1]


def left_of_demos() -> list[str]:
    """List what any demo with real zones has left: on the host, processes, mounts, directories."""
    nowhere = Path("/nowhere")
    left = asyncio.run(remains.look(nowhere))
    found = [] if left.none else [remains.told(left)]
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    found += [line for line in mounts if remains.DIRECTORY in line]
    found += map(str, Path(tempfile.gettempdir()).glob(f"{remains.DIRECTORY}*"))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found += [line] if f"/{remains.DIRECTORY}" in line else []
    return found


def missing(said: str, *parts: str) -> list[str]:
    """List what was not said; the test prints the whole of it then, to see what was instead."""
    return [part for part in parts if part not in said]


@HOST
def test_as_root_the_zones_and_the_vm_are_real_and_nothing_is_left(tmp_path: Path) -> None:
    said = play(tmp_path)
    real = ("hostname: web-1", "[fifo-guest vm-1]#", "look for anything that is left")
    assert missing(said, *PARTS, *real) == [], said
    assert "simulated" not in said, said
    seconds = re.search(r"Done in (\d+) s", said)
    assert seconds is not None, said
    assert int(seconds[1]) < LIMIT_S


@HOST
@pytest.mark.parametrize("part", ["make a network", "Kill what runs"])
def test_interrupted_in_any_part_it_leaves_nothing(
    home: Path, demos: list[Played], part: str
) -> None:
    # The play is as long as it is up to that part: a VM boots before anything is killed.
    demo = begin(demos, home)
    demo.until(part)
    status = demo.end(signal.SIGINT)
    assert status == 128 + signal.SIGINT, demo.said
    assert missing(demo.said, "Ended by SIGINT", "look for anything that is left") == [], demo.said
    assert left_of_demos() == [], demo.said


@HOST
def test_while_it_stays_the_commands_that_it_prints_work_and_its_end_leaves_nothing(
    home: Path, demos: list[Played]
) -> None:
    demo = begin(demos, home, "--stay")
    demo.until("Ctrl-C here")
    listed = demo.type("create web-1", "create vm-1", "instance list")
    assert [len(re.findall(rf"{name}.*running", listed)) for name in ("web-1", "vm-1")] == [1, 1]
    assert demo.end(signal.SIGINT) == 0, demo.said
    assert missing(demo.said, "delete all instances: 2 deleted", "Done in") == [], demo.said
    assert left_of_demos() == [], demo.said


@HOST
def test_a_second_demo_says_who_runs_already_and_touches_nothing(
    home: Path, demos: list[Played]
) -> None:
    first = begin(demos, home, "--stay")
    first.until("Ctrl-C here")
    first.type("create web-1")
    second = begin(demos, home)
    second.until("stop it first")
    assert second.end(0) == exits.UNAVAILABLE
    assert f"a demo runs already, pid {first.process.pid}: stop it first" in second.said
    assert "running" in first.type("instance list")
    assert first.end(signal.SIGTERM) == 0, first.said
    assert left_of_demos() == [], first.said


@HOST
@pytest.mark.parametrize("directory", ["is there", "is gone"])
def test_what_a_killed_demo_left_is_cleared_away_by_the_next(
    home: Path, demos: list[Played], directory: str
) -> None:
    killed = begin(demos, home, "--stay")
    killed.until("Ctrl-C here")
    killed.type("create web-1", "create vm-1")
    killed.end(signal.SIGKILL)
    assert remains.PREFIX in " ".join(left_of_demos())
    if directory == "is gone":
        # As one that cleans up old files does: mount points alone stay.
        shutil.rmtree(killed.base, ignore_errors=True)
    after = begin(demos, home, "--stay")
    after.until("Ctrl-C here")
    assert f"{CLEARED} {killed.base}" in after.said
    assert after.end(signal.SIGINT) == 0, after.said
    assert left_of_demos() == [], after.said


@HOST
def test_zones_of_another_node_with_its_prefix_are_named_and_left_alone(
    home: Path, demos: list[Played]
) -> None:
    root = cgroups.ROOT if cgroups.version() == "v2" else cgroups.ROOT / "pids"
    group = root / f"fifo-{remains.PREFIX}" / "zone"
    group.mkdir(parents=True)
    stranger = subprocess.Popen(["/bin/sleep", "60"])
    try:
        (group / "cgroup.procs").write_text(str(stranger.pid), encoding="ascii")
        demo = begin(demos, home)
        demo.until("kill -9")
        assert demo.end(0) == exits.UNAVAILABLE
        assert f"kill -9 {stranger.pid}" in demo.said
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        group.rmdir()
        group.parent.rmdir()
    assert left_of_demos() == [], demo.said


def test_it_ends_well_when_nobody_reads_any_more(home: Path, demos: list[Played]) -> None:
    demo = begin(demos, home, "--simulated")
    demo.until("A node serves")
    assert demo.process.stdout is not None
    demo.process.stdout.close()
    assert demo.process.wait() == 0


def test_what_a_killed_simulated_demo_left_is_removed_by_the_next_and_nothing_of_one_that_plays(
    home: Path, demos: list[Played]
) -> None:
    killed, plays = (begin(demos, home, "--simulated", "--stay") for _ in range(2))
    for each in (killed, plays):
        each.until("Ctrl-C here")
    killed.end(signal.SIGKILL)
    assert killed.base.is_dir()
    after = begin(demos, home, "--simulated", "--stay")
    after.until("Ctrl-C here")
    assert f"{CLEARED} {killed.base}" in after.said
    assert f"{CLEARED} {plays.base}" not in after.said
    assert not killed.base.exists()
    listed = plays.type("create web-1", "instance list")
    assert re.search("web-1.*running", listed)
    for each in (plays, after):
        assert each.end(signal.SIGINT) == 0, each.said
        assert not each.base.exists()


def test_on_request_everything_is_simulated(tmp_path: Path) -> None:
    said = play(tmp_path, "--simulated")
    assert missing(said, *PARTS) == [], said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_anybody_else_it_says_that_the_hosts_are_simulated_and_goes_on(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    if not os.access(sys.executable, os.X_OK) or not _may_read(ROOT, nobody.pw_uid):
        pytest.skip("nobody may not enter the directory that this project is in")
    tmp_path.chmod(0o777)
    said = play(tmp_path, user=nobody.pw_uid, group=nobody.pw_gid)
    assert missing(said, *PARTS, "not root: the hosts are simulated") == [], said


def _may_read(path: Path, uid: int) -> bool:
    """Tell whether a user can come as far as a path and to this interpreter."""
    wanted = [*path.parents, path, *Path(sys.executable).resolve().parents]
    return all(own.stat().st_uid == uid or own.stat().st_mode & 0o005 == 0o005 for own in wanted)
