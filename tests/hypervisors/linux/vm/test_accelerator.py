"""Which accelerator is used is found by trial, once for each boot of the host."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fifo.hypervisors.linux import facts, layout
from fifo.hypervisors.linux.images.cache import Cache
from fifo.hypervisors.linux.layout import PASSABLE
from fifo.hypervisors.linux.settings import Settings
from fifo.hypervisors.linux.storage.overlay import OverlayStorage
from fifo.hypervisors.linux.vm import accelerator, limits, machine
from fifo.hypervisors.linux.vm.accelerator import Accelerators, Found, with_machines
from fifo.hypervisors.linux.vm.trial import program
from fifo.model.errors import NotReady
from fifo.model.hypervisor import Probe
from fifo.model.instance import Shares
from tests.hypervisors.linux import runner
from tests.hypervisors.linux.guests.built import directory as built_directory
from tests.hypervisors.linux.vm import vm_host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fifo.hypervisors.linux.commands import CommandOutput, Run

KVM = Path("/dev/kvm")


class Host:
    """A directory for the trials, and what they ran; with the small VM in its cache or not."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(directory / "state", directory / "run", "ta", {})
        self.ran: list[Sequence[str]] = []

    async def run(self, argv: Sequence[str], **rest: Any) -> CommandOutput:
        self.ran.append(argv)
        return await runner.run(argv, **rest)

    def find(self, *, images: Path | None = None, run: Run | None = None, **places: Path) -> Found:
        """Look as a node that has just been started does."""
        images = images or self.settings.state_dir / "none"
        images.mkdir(exist_ok=True)
        run = run or self.run
        storage = OverlayStorage(run, self.settings.state_dir)
        cache = Cache(run, self.settings, images, storage, {})
        kernels = {"kernels": self.settings.state_dir / "none", **places}
        self.ran.clear()
        return asyncio.run(
            Accelerators(run, self.settings, facts.gather(), cache, **kernels).find()
        )


@pytest.fixture
def host() -> Iterator[Host]:
    if reason := vm_host.why_not():
        pytest.skip(reason)
    built_directory().chmod(PASSABLE)
    directory = built_directory() / "trials"
    for path in (directory, directory / "state", directory / "run"):
        path.mkdir()
        path.chmod(PASSABLE)
    yield Host(directory)
    shutil.rmtree(directory)


def test_kvm_is_used_only_if_a_kernel_has_run_a_program_with_it(host: Host) -> None:
    if not KVM.exists():
        pytest.skip("this machine has no /dev/kvm")
    begun_s = time.monotonic()
    found = host.find(images=vm_host.small_vm())
    assert time.monotonic() - begun_s < limits.TRIAL_S + 3.0
    assert (found.accelerator == "kvm") == (found.why_not == "")
    assert found.decided
    assert found.version
    assert found == host.find(images=vm_host.small_vm())
    assert len(host.ran) == 1, "the answer is remembered: QEMU alone was asked for its version"


def test_the_trial_succeeds_where_the_accelerator_works(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated = machine.accelerated("tcg")
    monkeypatch.setattr(accelerator, "accelerated", lambda _: emulated)
    monkeypatch.setattr(limits, "TRIAL_S", 30.0)
    found = host.find(images=vm_host.small_vm(), device=Path("/dev/null"))
    assert (found.accelerator, found.why_not, found.decided) == ("kvm", "", True)
    assert list(host.settings.run_dir.iterdir()) == []


def test_a_device_that_came_since_is_tried(host: Host, tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    storage = OverlayStorage(host.run, host.settings.state_dir)
    images = host.settings.state_dir / "none"
    images.mkdir()
    cache = Cache(host.run, host.settings, images, storage, {})
    known = Accelerators(
        host.run, host.settings, facts.gather(), cache, device=device, kernels=images
    )
    absent = asyncio.run(known.find())
    assert (absent.why_not, absent.decided) == (f"no {device}", True)
    device.touch()
    assert asyncio.run(known.find()).why_not.startswith("not tried")
    # Nor does a node that is started then go by the record.
    assert host.find(device=device).why_not.startswith("not tried")


def test_what_another_boot_or_another_qemu_found_does_not_count(host: Host) -> None:
    record = host.settings.state_dir / accelerator.RECORD
    here = host.find(device=Path("/absent"))
    assert (here.accelerator, here.why_not) == ("tcg", "no /absent")
    for text in (
        record.read_text().replace(here.boot_id, "another"),
        record.read_text().replace(here.version, "0.0.0"),
        "no record",
    ):
        record.write_text(text)
        assert host.find(device=Path("/absent")) == here


def test_a_full_disk_keeps_nothing_from_being_found(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        del data
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(layout, "replace", refuse)
    assert host.find(device=Path("/absent")).decided
    assert "is not written down: no room on the disk of" in caplog.text


def test_without_a_kernel_the_trial_is_made_later(host: Host) -> None:
    found = host.find(device=Path("/dev/null"))
    assert (found.accelerator, found.decided) == ("tcg", False)
    assert "no kernel to try it with" in found.why_not
    assert not (host.settings.state_dir / accelerator.RECORD).exists()


def test_the_hosts_own_kernel_serves_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = host.settings.state_dir / "boot"
    kernels.mkdir()
    for name in ("vmlinuz-1.0", f"vmlinuz-{os.uname().release}", "vmlinuz-9.9"):
        (kernels / name).write_bytes(b"no kernel at all")
    monkeypatch.setattr(limits, "TRIAL_S", 1.0)
    found = host.find(device=Path("/dev/null"), kernels=kernels)
    assert (found.accelerator, found.decided) == ("tcg", True)
    assert found.why_not.startswith("did not boot with it: ")


def test_without_qemu_there_are_no_vms(host: Host) -> None:
    async def absent(argv: Sequence[str], **_: Any) -> CommandOutput:
        raise NotReady("it is not there", argv[-1], "install it")

    found = host.find(run=absent)
    assert found.version == ""
    told = with_machines(probe(), found, ("kvm",))
    assert told.brands == ("lx",)
    assert "no QEMU works" in told.missing["kvm"]


def test_the_probe_says_what_vms_run_with(host: Host) -> None:
    del host
    found = Found(boot_id="b", version="7.2.0", why_not="did not boot with it", decided=True)
    told = with_machines(probe(), found, ("kvm",))
    assert (told.brands, told.accelerator, told.qemu_version) == (("lx", "kvm"), "tcg", "7.2.0")
    assert told.missing["kvm"] == "did not boot with it"
    assert told.missing["exec kvm"]


def probe() -> Probe:
    return Probe(driver="linux", brands=("lx",), capacity=Shares())


def test_the_trials_program_is_an_elf_that_a_kernel_of_this_processor_takes() -> None:
    data = program()
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[24:32], "little") == 0x400000 + 120
    assert data.endswith(b"fifo-trial-runs\r\n")
