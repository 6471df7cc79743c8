"""Running VMs: QEMU's start under the keeper, its end, and what it had of the host meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.hypervisors.linux import limits as linux_limits
from fifo.hypervisors.linux import logs
from fifo.hypervisors.linux.keeper.logs import LogFile
from fifo.hypervisors.linux.keeper_client import Program
from fifo.hypervisors.linux.making import forget
from fifo.hypervisors.linux.together import together
from fifo.hypervisors.linux.vm import confine, images, limits, made
from fifo.hypervisors.linux.vm.control_group import ControlGroups
from fifo.hypervisors.linux.vm.machine import QEMU, Interface, Machine, Sockets, command_line
from fifo.hypervisors.linux.vm.monitor import Monitor
from fifo.hypervisors.linux.vm.power import PowerButtons
from fifo.hypervisors.linux.vm.resets import Resets
from fifo.model.errors import DriverFailed, FifoError, NotReady, Unavailable, WrongState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fifo.hypervisors.linux.addresses import Attachment
    from fifo.hypervisors.linux.host import Host
    from fifo.hypervisors.linux.keeper_client import Watched
    from fifo.hypervisors.linux.layout import Kept
    from fifo.hypervisors.linux.vm.accelerator import Accelerators, Found
    from fifo.hypervisors.linux.vm.building import Builder
    from fifo.hypervisors.linux.vm.made import Made
    from fifo.model.instance import InstanceSpec

DIRECTORY: Final = "vm"
PRIVATE: Final = 0o077
_log = logging.getLogger(__name__)
WAITING: Final = "QEMU waiting for connection on"
"""What it says of the serial line in every start."""


class Runner:
    """The QEMUs of a host. Used on the node's loop."""

    def __init__(self, host: Host, accelerators: Accelerators, builder: Builder) -> None:
        self._host = host
        self._accelerators = accelerators
        self._builder = builder
        self._groups = ControlGroups(host.facts, host.settings.cgroup)
        self._buttons = PowerButtons()
        self._resets = Resets(self._end_loop)
        self._monitors: dict[str, Monitor] = {}
        self._directory = host.layout.run_dir / DIRECTORY
        self._directory.mkdir(mode=0o711, exist_ok=True)

    def directories(self) -> Iterator[Path]:
        """Yield the directories with VMs' sockets, also of VMs that are gone."""
        return self._directory.iterdir()

    def _sockets(self, uid: str) -> Sockets:
        return Sockets.below(self._directory / uid)

    def monitor(self, uid: str) -> Monitor:
        """Give the way to a VM's QEMU; it connects when something is asked."""
        found = self._monitors.get(uid)
        if found is None:
            path = self._sockets(uid).monitor
            found = self._monitors[uid] = Monitor(uid, path, lambda: self._resets.count(uid))
        return found

    # -- starting ------------------------------------------------------------------------------

    async def start(
        self, begun: Kept, spec: InstanceSpec, attachments: tuple[Attachment, ...]
    ) -> Kept:
        """Start a VM whose record is `begun`; raises FifoError, OSError, and is not undone then."""
        host, uid = self._host, begun.uid
        found = await self._accelerators.find()
        if not found.version:
            raise NotReady(found.why_not, uid, "install qemu-system-x86")
        directory = host.layout.instance(uid)
        known = msgspec.structs.replace(made.read(directory), ram=spec.ram)
        made.write(directory, known)
        self._make_directory(uid, known)
        groups = self._groups.make(spec)
        seed, _, taps = await together(
            self._builder.tell(uid, spec, attachments),
            host.networking.guard(uid, attachments),
            self._tap(uid, attachments),
        )
        machine = self._machine(spec, known, found, attachments)._replace(seed=seed)
        group = self._accelerators.group if machine.accelerator == "kvm" else 0
        argv = confine.launched(groups, taps, command_line(machine), known.user, group=group)
        watched = await self._spawn(begun, Program(argv, umask=PRIVATE))
        latest = host.watch.ends.find(uid)
        started = msgspec.structs.replace(
            latest, pid=watched.pid or 0, start_time=watched.start_time or 0
        )
        if latest.exit is None:
            host.layout.write(started)
        return started

    async def _tap(self, uid: str, attachments: tuple[Attachment, ...]) -> tuple[str, ...]:
        networking = self._host.networking
        return await networking.tap(uid, attachments, await networking.hold(uid, attachments))

    def _make_directory(self, uid: str, known: Made) -> None:
        """Have an empty directory for the sockets, its user's alone."""
        directory = self._directory / uid
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
        os.chown(directory, known.user, known.user)

    def _machine(
        self, spec: InstanceSpec, known: Made, found: Found, attachments: tuple[Attachment, ...]
    ) -> Machine:
        directory = self._host.layout.instance(spec.uid)
        cache = self._host.cache
        image = cache.find(known.boot_image) if known.boot_image else None
        direct = image is not None and image.boot == "direct"
        wanted = {disk.path: disk for disk in self._builder.wanted(known, spec)}
        boot = next((path for path, disk in wanted.items() if disk.boot), "")
        return Machine(
            uid=spec.uid,
            memory_mib=spec.ram,
            processors=spec.vcpus,
            accelerator=found.accelerator,
            sockets=self._sockets(spec.uid),
            drives=tuple(
                self._builder.disks.drive(
                    directory, disk, wanted[disk.path], boots=disk.path == boot
                )
                for disk in known.disks
            ),
            interfaces=tuple(
                Interface(number, each.nic.mac, each.nic.model, each.mtu)
                for number, each in enumerate(attachments)
            ),
            kernel=images.kernel(cache.place(known.boot_image)) if direct else None,
            program=QEMU[self._host.facts.machine],
        )

    async def _spawn(self, begun: Kept, program: Program) -> Watched:
        """Have the keeper start QEMU and hold its serial line; returns when it is on QMP."""
        keeper, uid = self._host.keeper, begun.uid
        directory = self._host.layout.instance(uid)
        log = directory / made.QEMU_LOG
        said_bytes = log.stat().st_size if log.exists() else 0
        watched = await keeper.spawn(
            uid, str(begun.start_id), program, log=LogFile(str(log), linux_limits.LOG_BYTES)
        )
        console = LogFile(str(directory / logs.CONSOLE), linux_limits.LOG_BYTES)
        try:
            await keeper.console_connect(uid, self._sockets(uid).serial, log=console)
            await self._ready(uid)
        except (WrongState, Unavailable) as error:
            raise DriverFailed(
                f"QEMU did not start: {_said(log, said_bytes) or error}", uid, "see its words"
            ) from None
        return watched

    async def _ready(self, uid: str) -> None:
        """Wait until QEMU answers; WrongState if it has ended, Unavailable if it never does."""
        monitor = self.monitor(uid)
        try:
            async with asyncio.timeout(limits.READY_S):
                while not await monitor.connect():
                    if self._host.watch.ends.find(uid).exit is not None:
                        raise WrongState("it has ended", uid, "see its log")
                    await asyncio.sleep(limits.READY_LOOK_S)
        except TimeoutError:
            raise Unavailable(
                f"it says nothing for {limits.READY_S:g} s", uid, "see what the host is busy with"
            ) from None

    def limit(self, spec: InstanceSpec) -> None:
        """Write the limits of a running VM anew: never less than what it was started with needs."""
        ram = max(spec.ram, made.read(self._host.layout.instance(spec.uid)).ram)
        self._groups.apply(msgspec.structs.replace(spec, ram=ram))

    # -- ending --------------------------------------------------------------------------------

    def press(self, uid: str) -> None:
        """Press the power button until the VM has ended or is killed."""
        self._buttons.press(uid, self.monitor(uid))

    async def kill(self, kept: Kept) -> None:
        """Tell QEMU to close its disks and end, and kill it if it does not; raises WrongState."""
        await self._buttons.release(kept.uid)
        try:
            await self.monitor(kept.uid).ask("quit", timeout_s=limits.QUIT_S)
            ends = True
        except Unavailable:
            # It may have gone before its answer was read.
            ends = True
        except FifoError:
            ends = False
        if ends and await self._host.watch.end_of(kept.uid, limits.QUIT_S) is not None:
            return
        await self._host.keeper.signal(kept.uid, str(kept.start_id), signal.SIGKILL)

    async def _end_loop(self, uid: str, resets: int) -> None:
        """Kill a VM whose guest starts anew for ever; its end says so."""
        _log.warning("%s: its guest has reset itself %d times in a row; ended", uid, resets)
        self._host.watch.looped(uid, resets)
        try:
            start_id = self._host.layout.find(uid).start_id
            await self._host.keeper.signal(uid, str(start_id), signal.SIGKILL)
        except FifoError as error:
            # It has ended by itself, or will be counted again: no other end is to be told so.
            self._host.watch.looped(uid, 0)
            _log.info("%s: not ended: %s", uid, error)

    async def release(self, kept: Kept) -> None:
        """Take back what a VM had of the host; one that was started by half is killed before."""
        uid = kept.uid
        await self._buttons.release(uid)
        self._resets.forget(uid)
        if (monitor := self._monitors.pop(uid, None)) is not None:
            await monitor.close()
        if kept.is_open:
            await self._end_half(kept)
        networking = self._host.networking
        await networking.detach(uid, networking.ports(uid, kept.runs_with.nics))
        self._groups.remove(uid)
        await asyncio.to_thread(shutil.rmtree, self._directory / uid, ignore_errors=True)

    async def take_back(self, kept: Kept) -> None:
        """Undo half a start; the keeper forgets it, so that its number may be used again."""
        await self.release(kept)
        await forget(self._host, kept.uid)

    async def _end_half(self, kept: Kept) -> None:
        """Kill what runs of a start that nobody finished, and wait until it has ended."""
        try:
            await self._host.keeper.signal(kept.uid, str(kept.start_id), signal.SIGKILL)
        except WrongState:
            return
        await self._host.watch.end_of(kept.uid, linux_limits.FORCE_S)

    async def close(self) -> None:
        """Let all of them go; they run on."""
        await self._buttons.close()
        await self._resets.close()
        for monitor in self._monitors.values():
            await monitor.close()
        self._monitors.clear()


def _said(log: Path, from_bytes: int) -> str:
    """Give what QEMU has written since a start; raises OSError."""
    with log.open("rb") as file:
        file.seek(from_bytes if log.stat().st_size >= from_bytes else 0)
        text = file.read(linux_limits.LOG_BYTES).decode(errors="replace")
    lines = [line for line in text.splitlines() if WAITING not in line]
    return "\n".join(lines)[-linux_limits.WORDS_CHARACTERS :]
