"""The simulated driver on the suite's stage: virtual time, faults from its table."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from fifo.agent.clockwork import NodeClockwork
from fifo.hypervisors.driver import Wanted
from fifo.hypervisors.simulated.driver import SimulatedDriver
from fifo.hypervisors.simulated.faults import GUEST, Fault
from fifo.hypervisors.simulated.host import SimulatedHost
from fifo.hypervisors.simulated.settings import HostSettings
from fifo.model.errors import FifoError
from fifo.model.image import Image
from fifo.model.instance import Claim, InstanceSpec, Nic, Shares
from supervisors import CallTimeout, TaskSupervisor, run_task_nolink
from supervisors import SimulatedHost as VirtualTime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fifo.hypervisors.driver import Driver, Event

T = TypeVar("T")

EPOCH_S = 1_700_000_000.0
PATIENCE_S = 300.0


class SimulatedStage:
    """One simulated host under virtual time."""

    coarse = False
    brand = "lx"
    own_code = 3

    def __init__(self, *, unsupported: dict[str, str] | None = None) -> None:
        self.time = VirtualTime(seed=1)
        self.node = self.time.node(log_reports=False)
        self._tasks = self.node.start(TaskSupervisor).get()
        clockwork = NodeClockwork(self.node, lambda: EPOCH_S + self.time.now_s)
        latency = dict.fromkeys(("create", "start", "stop", "delete"), (0.01, 0.2))
        self.host = SimulatedHost(
            clockwork, HostSettings(latency_s=latency, unsupported=unsupported or {})
        )
        self.driver: Driver = SimulatedDriver(self.host)
        self.heard: list[Event] = []
        self.cannot = frozenset(unsupported or ())
        self._numbers = itertools.count(1)

    def run(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        answer: Any = run_task_nolink(self._tasks, _told, wait, timeout_s=PATIENCE_S).get()
        if isinstance(answer, (FifoError, CallTimeout)):
            raise answer
        return answer  # type: ignore[no-any-return]

    def both(self, first: Awaitable[T], second: Callable[[], Awaitable[T]]) -> tuple[T, T]:
        async def wait() -> T:
            return await first

        began = run_task_nolink(self._tasks, _told, wait, timeout_s=PATIENCE_S)
        self.time.advance(1.0)
        later = self.run(second())
        return began.get(), later

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until_s = self.time.now_s + PATIENCE_S
        while not condition():
            assert self.time.now_s < until_s, f"never came; heard {self.heard}"
            self.time.advance(0.05)

    def pass_time(self, seconds: float) -> None:
        self.time.advance(seconds)

    def listen(self) -> Callable[[], None]:
        self.heard = []
        return self.driver.subscribe(self.heard.append).cancel

    def restart_driver(self) -> None:
        self.run(self.driver.close())
        self.driver = SimulatedDriver(self.host)

    def wanted(self) -> Wanted:
        number = next(self._numbers)
        uid = f"00000000-0000-4000-8000-{number:012x}"
        spec = InstanceSpec(
            uid=uid, id=f"i-{number}", org="default", generation=1, wanted="running", brand="lx",
            create_time=EPOCH_S, hostname=f"host-{number}",
            nics=(Nic(interface="eth0", mac=f"02:00:00:00:00:{number:02x}"),),
        )  # fmt: skip
        shares = Shares(cpu=100, memory=256, disk=10)
        return Wanted(spec, Claim(uid=uid, host="simulated", shares=shares))

    def deaf(self) -> Wanted:
        wanted = self.wanted()
        self.host.faults.add(Fault("stop", "deaf", uid=wanted.spec.uid))
        return wanted

    def short_lived(self, code: int) -> Wanted:
        wanted = self.wanted()
        self.host.faults.add(Fault(GUEST, "exit", uid=wanted.spec.uid, after_s=0.1, code=code))
        return wanted

    def settle(self, uid: str) -> None:
        """Nothing: a simulated guest is there at once."""

    def fresh_image(self) -> Image:
        number = next(self._numbers)
        return Image(
            uid=f"00000000-0000-4000-9000-{number:012x}", id=f"image-{number}",
            create_time=EPOCH_S, format="rootfs_tar", source="memory", size_bytes=1_000_000,
        )  # fmt: skip

    def kill(self, uid: str) -> None:
        self.host.end(uid)

    def fail_in_create(self, wanted: Wanted) -> None:
        self.host.faults.add(Fault("create", "half", uid=wanted.spec.uid, times=1))
        with pytest.raises(FifoError):
            self.run(self.driver.create(wanted))


async def _told(function: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await function()
    except (FifoError, CallTimeout) as error:
        return error
