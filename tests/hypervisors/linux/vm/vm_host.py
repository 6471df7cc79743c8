"""A share of this very host for VMs: the small VM's image in its cache, and words with guests."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import functools
import re
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fifo.hypervisors.linux.guests import spawning, vm, vm_images
from fifo.hypervisors.linux.images.cache import Cache
from fifo.hypervisors.linux.keeper import processes
from fifo.hypervisors.linux.layout import PASSABLE
from fifo.hypervisors.linux.settings import Settings
from fifo.hypervisors.linux.storage.overlay import OverlayStorage
from fifo.hypervisors.linux.vm import accelerator
from fifo.hypervisors.linux.vm.images import Importer
from fifo.model import records
from fifo.model.errors import FifoError
from fifo.model.image import Image
from fifo.model.instance import Disk, InstanceSpec, Nic
from tests.hypervisors.linux import runner
from tests.hypervisors.linux.guests import built
from tests.hypervisors.linux.zone_host import NETWORK_UID, ZoneHost
from tests.hypervisors.linux.zone_host import why_not as why_no_zones

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Channel, Wanted
    from fifo.hypervisors.linux.guests.image_cache import GuestImage

IMAGE_UID: Final = "00000000-0000-4000-9000-0000000000bb"
RAM: Final = 96
NEEDED: Final = ("qemu-system-x86_64", "qemu-img", "genisoimage", "setpriv", "ip", "nft")
PROMPT: Final = re.compile(re.escape(vm.PROMPT) + r"[^\]\n]*\]# ")
COMMAND_CHARACTERS: Final = 56
CURSOR_QUESTION: Final = "\x1b[6n"


def why_not() -> str:
    """Say why this machine cannot run VMs; nothing if it can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if reason := why_no_zones():
        return reason
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        small_vm()
    except FifoError as error:
        return f"no image of a small VM: {error}"
    return ""


class VmHost(ZoneHost):
    """One node's share of the host, for VMs; the trial of KVM is not made anew for each."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        found = records.encode(known_accelerator())
        (self.settings.state_dir / accelerator.RECORD).write_bytes(found)

    def wanted(self, *, nics: int = 1, script: str = "", **spec: Any) -> Wanted:
        """Describe another VM; `script` is run when it has booted."""
        number = next(self._numbers)
        uid = f"00000000-0000-4000-8000-{secrets.token_hex(4)}{number:04x}"
        if script:
            spec["customer_metadata"] = {"user-script": script}
        spec.setdefault("disks", (Disk(path="disk0", image=IMAGE_UID, boot=True),))
        made = InstanceSpec(
            uid=uid, id=f"i-{number}", org="default", generation=1, wanted="running", brand="kvm",
            create_time=0.0, hostname=f"vm-{number}",
            nics=tuple(
                Nic(
                    interface=f"net{index}",
                    mac=f"02:00:00:01:{number:02x}:{index:02x}",
                    network=NETWORK_UID,
                    primary=index == 0,
                )
                for index in range(nics)
            ),
            **{"ram": RAM, "max_physical_memory": 352, "max_swap": 352, **spec},
        )  # fmt: skip
        return self.claimed(made, number)

    async def terminal(self, wanted: Wanted) -> Terminal:
        """Attach to a VM's console and wait for its prompt."""
        found = Terminal(await self.driver.console(wanted.spec.uid))
        await found.prompt()
        return found

    async def terminal_again(self, wanted: Wanted) -> Terminal:
        """Attach to the console of a VM that has booted, at a fresh prompt."""
        found = Terminal(await self.driver.console(wanted.spec.uid))
        await found.fresh_prompt()
        return found


class Terminal:
    """A guest's shell, over its serial line."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._unread = ""

    async def prompt(self) -> str:
        """Wait for the shell's prompt and give what was shown before it."""
        while not (found := PROMPT.search(self._unread)):
            part = await self.channel.read()
            assert part is not None, f"it ended without a prompt, but: {self._unread!r}"
            text = part[1].decode(errors="replace")
            self._unread = (self._unread + text).replace(CURSOR_QUESTION, "")
        text, self._unread = self._unread[: found.start()], self._unread[found.end() :]
        return text

    async def fresh_prompt(self) -> None:
        """Come to a prompt with nothing unread before it, whatever was shown until now."""
        mark = secrets.token_hex(4)
        await self.channel.write(f"echo {mark[:4]}''{mark[4:]}\n".encode())
        while mark not in await self.prompt():
            pass

    async def type(self, command: str) -> str:
        """Run a command and give what it printed; a longer one the shell would show wrapped."""
        assert len(command) <= COMMAND_CHARACTERS, command
        await self.channel.write(command.encode() + b"\n")
        _, _, printed = (await self.prompt()).partition("\r\n")
        return printed.replace("\r\n", "\n")

    async def close(self) -> None:
        """Detach."""
        await self.channel.close()


@functools.cache
def guest_image() -> GuestImage:
    """Build the small VM, once."""
    return asyncio.run(vm_images.direct(spawning.run, built.directory()))


@functools.cache
def small_vm() -> Path:
    """Give a cache of images that has the small VM."""
    directory = Path(tempfile.mkdtemp(prefix="fvi"))
    atexit.register(shutil.rmtree, directory)
    directory.chmod(PASSABLE)
    images = directory / "images"
    images.mkdir(mode=PASSABLE)
    settings = Settings(directory, directory, "ta", {})
    importers = Importer(runner.run, settings).importers()
    storage = OverlayStorage(runner.run, directory)
    cache = Cache(runner.run, settings, images, storage, importers)
    asyncio.run(cache.fetch(image_record(guest_image().directory), lambda *_: None))
    return images


def image_record(directory: Path) -> Image:
    """Describe the small VM's image."""
    return Image(
        uid=IMAGE_UID, id="vm", create_time=0.0, format="qcow2", source=str(directory),
        boot="direct", brands=("kvm",),
    )  # fmt: skip


def firmware_image() -> Image:
    """Describe the small VM that a BIOS boots from its disk, built if it has to be."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # A test that asks for it has a loop already.
        built_ = pool.submit(asyncio.run, vm_images.disk(spawning.run, built.directory())).result()
    return Image(
        uid="00000000-0000-4000-9000-0000000000ee", id="firmware", create_time=0.0,
        format="qcow2", source=str(built_.path("disk")), boot="disk", brands=("kvm",),
    )  # fmt: skip


@functools.cache
def known_accelerator() -> accelerator.Found:
    """Give an answer to the trial of KVM, so that it need not be made: TCG works everywhere."""
    argv = ["/usr/bin/env", "qemu-system-x86_64", "--version"]
    version = subprocess.run(argv, check=True, capture_output=True).stdout.decode().split()[3]
    return accelerator.Found(
        boot_id=processes.boot_id(), version=version, why_not="not tried", decided=True
    )
