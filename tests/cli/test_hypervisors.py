"""Which hosts a node gets: never simulated ones in the place of real ones."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from fifo.cli.serving import hypervisors, locks
from fifo.cli.serving.directories import Directories
from fifo.cli.settings import Settings
from fifo.model.errors import DataLoss, InvalidInput, NotReady, Violation
from fifo.model.hypervisor import Probe
from fifo.model.instance import Shares
from supervisors import AsyncioHost

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.cli.serving.hypervisors import Hosts
    from fifo.model.errors import FifoError


PREFIX = f"h{secrets.token_hex(2)}"
"""This process's own: a prefix is locked on the whole machine."""


def settings_in(base: Path, driver: str = "auto", seed: int = 1) -> Settings:
    return Settings(
        data_dir=base / "data",
        run_dir=base / "run",
        driver=driver,
        simulated_seed=seed,
        prefix=PREFIX,
    )


def opened(settings: Settings) -> Hosts:
    """Open hosts as the program does, and remember them as it does."""

    async def run() -> Hosts:
        host = AsyncioHost()
        directories = Directories(settings)
        node = host.node("n")
        try:
            with ExitStack() as held:
                hosts = await hypervisors.open_hosts(node, settings, directories, time.time, held)
            directories.identity(len(hosts.drivers), hosts.driver)
        finally:
            host.close()
        return hosts

    return asyncio.run(run())


def let_linux(monkeypatch: pytest.MonkeyPatch, error: FifoError | None) -> None:
    """Have the Linux driver open or fail."""

    async def linux(settings: Settings, directories: Directories, needed: frozenset[str]) -> Hosts:
        del settings, directories, needed
        if error is not None:
            raise error
        return hypervisors.Hosts((lambda: pytest.fail("nobody asks it"),), "linux")

    monkeypatch.setattr(hypervisors, "_linux", linux)


def test_a_machine_without_a_hypervisor_gets_simulated_hosts_and_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_linux(monkeypatch, NotReady("no runc", "this machine"))
    for _ in range(2):
        hosts = opened(settings_in(tmp_path))
        assert (hosts.driver, len(hosts.simulated)) == ("simulated", 1)
        assert "no runc" in hosts.warning


@pytest.mark.parametrize("driver", ["auto", "simulated"])
def test_a_real_host_s_data_are_never_given_to_simulated_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    let_linux(monkeypatch, None)
    assert opened(settings_in(tmp_path)).driver == "linux"
    let_linux(monkeypatch, NotReady("the keeper is away", "this machine"))
    with pytest.raises(NotReady, match="`--driver simulated` with another data_dir") as refused:
        opened(settings_in(tmp_path, driver))
    assert str(tmp_path / "data") in str(refused.value)
    assert driver == "simulated" or "the keeper is away" in str(refused.value)
    let_linux(monkeypatch, None)
    assert opened(settings_in(tmp_path)).driver == "linux"


@pytest.mark.parametrize("driver", ["auto", "linux"])
def test_simulated_hosts_are_no_way_round_a_prefix_that_another_node_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    let_linux(monkeypatch, None)
    other = Directories(settings_in(tmp_path / "other"))
    with (
        locks.of_host(other, PREFIX),
        pytest.raises(NotReady, match=f"prefix {PREFIX}: process {os.getpid()} has it; stop"),
    ):
        opened(settings_in(tmp_path / "own", driver))
    assert opened(settings_in(tmp_path / "own", driver)).driver == "linux"


def test_a_start_that_becomes_simulated_leaves_the_prefix_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_linux(monkeypatch, NotReady("no runc", "this machine"))
    settings = settings_in(tmp_path / "own")
    directories = Directories(settings)

    async def run() -> None:
        host = AsyncioHost()
        try:
            with ExitStack() as held:
                await hypervisors.open_hosts(host.node("n"), settings, directories, time.time, held)
                with locks.of_host(Directories(settings_in(tmp_path / "other")), PREFIX):
                    pass
        finally:
            host.close()

    asyncio.run(run())


def test_settings_that_the_driver_refuses_are_no_reason_for_simulated_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_linux(monkeypatch, InvalidInput("settings", (Violation("prefix", "shorter"),)))
    with pytest.raises(InvalidInput, match="prefix"):
        opened(settings_in(tmp_path))


def test_a_node_that_remembered_no_driver_keeps_its_uids(tmp_path: Path) -> None:
    directories = Directories(settings_in(tmp_path))
    assert directories.used_driver() == ""
    two = directories.identity(2, "")
    assert directories.identity(1, "linux").hosts == two.hosts[:1]
    assert directories.used_driver() == "linux"
    again = directories.identity(2, "linux")
    assert (again.node_id, again.hosts) == (two.node_id, two.hosts)


def test_simulated_hosts_draw_from_the_seed_of_the_settings(tmp_path: Path) -> None:
    drawn = []
    for seed in (1, 1, 2):
        (machine,) = opened(settings_in(tmp_path, "simulated", seed)).simulated
        drawn.append([machine.clockwork.random() for _ in range(5)])
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_a_damaged_identity_held_is_told_from_what_lies_beside_it(tmp_path: Path) -> None:
    directories = Directories(settings_in(tmp_path))
    (directories.private / "node.json").write_bytes(b"\xff")
    (directories.private / "agents" / "a-host").mkdir(parents=True)
    (directories.instances / "instances").mkdir()
    with pytest.raises(DataLoss) as refusal:
        directories.identity(1, "linux")
    likely = refusal.value.remedy.partition("write it anew: ")[2]
    (directories.private / "node.json").write_text(likely)
    assert directories.used_driver() == "linux"
    assert directories.identity(1, "linux").hosts == ("a-host",)


@pytest.mark.parametrize(
    ("brands", "needed", "told"),
    [
        (("lx", "kvm"), {"lx", "kvm"}, ""),
        (("kvm",), set(), ""),
        (("kvm",), {"lx", "kvm"}, "it cannot run lx (no OCI runtime works: runc: not there);"),
        ((), set(), "it can run neither zones nor VMs (lx: no OCI runtime works: runc: not there)"),
    ],
)
def test_a_host_must_run_what_is_needed_or_anything_where_nothing_is(
    brands: tuple[str, ...], needed: set[str], told: str
) -> None:
    missing = {"lx": "no OCI runtime works: runc: not there"} if "lx" not in brands else {}
    found = Probe(driver="linux", brands=brands, capacity=Shares(), missing=missing)
    lack = hypervisors._lack(found, frozenset(needed))
    assert (lack is None) == (told == "")
    assert lack is None or told in str(lack)
