"""The Linux driver on the suite's stage: real VMs of this very host."""

from __future__ import annotations

import atexit
import functools
from typing import TYPE_CHECKING

from fifo.hypervisors.linux.vm.disks import Disks
from fifo.model.image import Image
from tests.hypervisors.conformance.linux_stage import LinuxStage
from tests.hypervisors.linux.vm.vm_host import CURSOR_QUESTION, PROMPT, VmHost, small_vm

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Wanted

DISK_BYTES = 1024 * 1024
DEAF = "killall acpid"


class VmStage(LinuxStage):
    """One node's share of this host; a guest is there when it has booted, in two seconds."""

    brand = "kvm"
    own_code = 0

    def __init__(self) -> None:
        self._begin(VmHost.make(small_vm()), frozenset({"exec"}))

    def settle(self, uid: str) -> None:
        async def see_prompt() -> None:
            channel = await self.driver.console(uid)
            shown = ""
            # What the shell asks the terminal is the last that it says.
            while not (PROMPT.search(shown) and shown.endswith(CURSOR_QUESTION)):
                part = await channel.read()
                assert part is not None, shown
                shown += part[1].decode()
            await channel.close()

        self.run(see_prompt())

    def deaf(self) -> Wanted:
        return self._host.wanted(script=DEAF)

    def short_lived(self, code: int) -> Wanted:
        assert code == self.own_code
        return self._host.wanted(script="poweroff")

    def fresh_image(self) -> Image:
        self._images += 1
        source = self._host.directory / "fresh.raw"
        source.write_bytes(bytes(DISK_BYTES))
        return Image(
            uid=f"00000000-0000-4000-9000-{self._images:012x}", id=f"image-{self._images}",
            create_time=0.0, format="raw", source=str(source), boot="disk", brands=("kvm",),
        )  # fmt: skip

    def _middle_of_create(self) -> tuple[object, str]:
        return Disks, "make"


@functools.cache
def shared() -> VmStage:
    """Make the stage of this session: a keeper and a driver take half a second to be there."""
    stage = VmStage()
    atexit.register(stage.close)
    return stage
