"""Which accelerator QEMU can use here: KVM if an ordinary kernel has booted with it, else TCG.

/dev/kvm may exist, open and run firmware, and hang with every kernel. So one is booted, as the user
and under the rules that VMs have, up to its first program (`trial`), for three seconds at most. The
answer is remembered for this boot of the host and this QEMU. The kernel comes from an image in the
cache, else it is the host's own; without any, TCG is used and the trial made when there is one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux import layout
from fifo.hypervisors.linux import limits as linux_limits
from fifo.hypervisors.linux.commands import disk_error
from fifo.hypervisors.linux.vm import confine, images, limits, trial
from fifo.hypervisors.linux.vm.machine import (
    QEMU,
    SANDBOX,
    Accelerator,
    accelerated,
)
from fifo.model import records
from fifo.model.errors import DriverFailed, FifoError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.host import Facts
    from fifo.hypervisors.linux.images.cache import Cache
    from fifo.hypervisors.linux.settings import Settings
    from fifo.model.hypervisor import Probe

RECORD: Final = "accelerator.json"
DEVICE: Final = Path("/dev/kvm")
KERNELS: Final = Path("/boot")
ARGUMENTS: Final = "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off"
QUIT: Final = b'{"execute":"qmp_capabilities"}{"execute":"quit"}'
NO_AGENT: Final = "a VM runs nobody whom the host could ask: there is no agent in its guest"
GROUP_MAY: Final = 0o060
"""Whoever is in the device's group may read and write it."""
_log = logging.getLogger(__name__)


class Found(records.Record, frozen=True, tag="linux_accelerator/1"):
    """What the trials found: no `version` if no QEMU works, and why not KVM."""

    boot_id: str = ""
    version: str = ""
    accelerator: Accelerator = "tcg"
    why_not: str = ""
    decided: bool = False
    """Whether the trial was made, or needs none; else it is made when there is a kernel."""


class _Kernel(NamedTuple):
    path: Path
    firmware: tuple[str, ...]


class Accelerators:
    """The trials, made when they are first needed. Used on the node's loop.

    `device` is where KVM is, `kernels` where the host keeps its own.
    """

    def __init__(
        self,
        run: Run,
        settings: Settings,
        facts: Facts,
        cache: Cache,
        *,
        device: Path = DEVICE,
        kernels: Path = KERNELS,
    ) -> None:
        self._run = run
        self._facts = facts
        self._cache = cache
        self._record = settings.state_dir / RECORD
        self._scratch = settings.run_dir / "trial-kvm"
        self._user = confine.import_user(settings.uid_base)
        self._device = device
        self._absent = f"no {device}"
        self._kernels = kernels
        self._found: Found | None = None
        self._lock = asyncio.Lock()

    @property
    def group(self) -> int:
        """The group whose members may use KVM, 0 if there is none."""
        try:
            found = self._device.stat()
        except OSError:
            return 0
        return found.st_gid if found.st_mode & GROUP_MAY == GROUP_MAY else 0

    async def find(self) -> Found:
        """Give what works here; makes a trial if nobody has since the host booted."""
        async with self._lock:
            if self._found is None or not self._found.decided or self._is_overtaken(self._found):
                self._found = await self._look()
            return self._found

    def _is_overtaken(self, found: Found) -> bool:
        """Tell whether KVM has come since it was found to be absent, as with its module."""
        return found.why_not == self._absent and self._device.exists()

    async def _look(self) -> Found:
        program = QEMU.get(self._facts.machine)
        if program is None:
            return Found(why_not=f"no VMs on {self._facts.machine}, on x86_64 only", decided=True)
        try:
            version = await self._version(program)
        except FifoError as error:
            return Found(why_not=f"no QEMU works: {error}")
        known = self._remembered() or Found()
        is_of_now = (known.boot_id, known.version) == (self._facts.boot_id, version)
        if is_of_now and not self._is_overtaken(known):
            return known
        found = await self._decide(program, version)
        if found.decided:
            self._remember(found)
        return found

    def _remember(self, found: Found) -> None:
        """Write it down for the nodes to come; a full disk only has them find it anew."""
        try:
            layout.replace(self._record, records.encode(found))
        except OSError as error:
            _log.warning("%s", disk_error(error, "what works for VMs is not written down"))

    def _remembered(self) -> Found | None:
        """Read what was found earlier; what cannot be read is found anew."""
        try:
            return records.decode(Found, self._record.read_bytes(), str(self._record))
        except (FileNotFoundError, FifoError):
            return None

    async def _version(self, program: str) -> str:
        """Have QEMU start as it does for VMs, with no machine, and give its version."""
        argv = [program, "-nodefaults", "-no-user-config", "-sandbox", SANDBOX, "-M", "none"]
        argv += ["-display", "none", "-accel", "tcg", "-S", "-qmp", "stdio"]
        done = await self._run(
            confine.as_user(self._user, argv), stdin=QUIT, deadline_s=linux_limits.PROBE_S
        )
        lines = done.stdout.splitlines()
        if done.status != 0 or not lines:
            raise DriverFailed(f"started without a machine it failed: {done.words}", program)
        told = msgspec.json.decode(lines[0])["QMP"]["version"]["qemu"]
        return "{major}.{minor}.{micro}".format(**told)

    async def _decide(self, program: str, version: str) -> Found:
        own = Found(boot_id=self._facts.boot_id, version=version)
        if not self._device.exists():
            return msgspec.structs.replace(own, why_not=self._absent, decided=True)
        kernel = next(self._candidates(), None)
        if kernel is None:
            why = "not tried: there is no kernel to try it with; fetch an image that has one"
            return msgspec.structs.replace(own, why_not=why)
        why = await self._try(program, kernel)
        return msgspec.structs.replace(
            own, accelerator="tcg" if why else "kvm", why_not=why, decided=True
        )

    def _candidates(self) -> Iterator[_Kernel]:
        """Yield kernels to try with: of an image, then the host's own, the running one first."""
        for uid in self._cache.uids():
            place = self._cache.place(uid)
            if (place / images.BOOT).exists():
                yield _Kernel(place / images.KERNEL, ("-bios", "qboot.rom"))
        running = self._kernels / f"vmlinuz-{os.uname().release}"
        for path in (running, *sorted(self._kernels.glob("vmlinuz-*"), reverse=True)):
            if path.is_file():
                yield _Kernel(path, ())

    async def _try(self, program: str, kernel: _Kernel) -> str:
        """Boot a kernel with KVM; gives why it did not run a program, nothing if it did."""
        try:
            initrd = await asyncio.to_thread(self._prepare, kernel.path)
            argv = [program, "-nodefaults", "-no-user-config", "-sandbox", SANDBOX, "-M", "q35"]
            argv += ["-m", str(limits.TRIAL_MIB), *accelerated("kvm"), "-display", "none"]
            argv += ["-no-reboot", "-serial", "stdio", *kernel.firmware]
            argv += ["-kernel", str(self._scratch / "kernel"), "-initrd", str(initrd)]
            argv += ["-append", ARGUMENTS]
            confined = confine.as_user(self._user, argv, group=self.group)
            done = await self._run(confined, deadline_s=limits.TRIAL_S)
        except FifoError as error:
            return f"did not boot with it: {error}"
        finally:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
        return "" if trial.SAYS in done.stdout else f"did not boot with it: {done.words}"

    def _prepare(self, kernel: Path) -> Path:
        """Have kernel and initrd where the trial's user may read them."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o711)
        shutil.copyfile(kernel, self._scratch / "kernel")
        initrd = self._scratch / "initrd"
        initrd.write_bytes(trial.initrd())
        for path in (self._scratch / "kernel", initrd):
            path.chmod(0o644)
        return initrd


def with_machines(probe: Probe, found: Found, brands: tuple[str, ...]) -> Probe:
    """Add to what a probe says what was found out about VMs.

    Under `kvm` it says why there are none, or why they are not accelerated.
    """
    missing = dict(probe.missing)
    if found.why_not:
        missing["kvm"] = found.why_not
    if found.version:
        missing[f"exec {brands[0]}"] = NO_AGENT
    return msgspec.structs.replace(
        probe,
        brands=(*probe.brands, *(brands if found.version else ())),
        accelerator=found.accelerator if found.version else "",
        qemu_version=found.version,
        missing=missing,
    )
