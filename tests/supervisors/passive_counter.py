"""Passive counters over a store in memory, for the tests of passivation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from supervisors import IGNORE, Stop
from supervisors.passivation import Passive, PassiveRegistry
from supervisors.passivator import Passivator

if TYPE_CHECKING:
    from supervisors import Ref
    from tests.supervisors.world import World


class Memory:
    """A store in memory that can be slow, fail, and says what it did."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.log: list[str] = []
        self.broken: set[str] = set()

    def save(self, name: str, state: bytes) -> None:
        self.log.append(f"save {name}")
        if "save" in self.broken:
            raise OSError("disk full")
        self.kept[name] = state

    def load(self, name: str) -> bytes | None:
        self.log.append(f"load {name}")
        if "load" in self.broken:
            raise OSError("disk lost")
        return self.kept.get(name)


class Counter(Passive):
    """Counts under its name; what it is asked with a function it does with that."""

    passivate_after_s = 10.0

    def init(self, name: str, state: bytes | None) -> Any:
        self.count = 0 if state is None else json.loads(state)
        if name == "unwanted":
            return IGNORE
        if name == "stops":
            return Stop("not today")
        return None

    def dump(self) -> bytes:
        return json.dumps(self.count).encode()

    async def handle_call(self, message: Any, caller: Any) -> Any:
        if message == "count":
            return self.count
        if message == "put away":
            caller.reply("as you wish")
            return await self.passivate()
        if message == "sleep":
            await self.sleep(60.0)
            return "slept"
        return await message(self)

    def handle_cast(self, message: Any) -> None:
        self.count += message

    def handle_info(self, message: Any) -> None:
        self.count += 100 * message


class Slow(Counter):
    """Its init takes a second; the store may be slow as well."""

    async def init(self, name: str, state: bytes | None) -> None:
        await self.sleep(1.0)
        self.count = 0 if state is None else json.loads(state)


class Case:
    """A passivator over a memory store."""

    def __init__(self, world: World, process_class: type[Passive] = Counter) -> None:
        self.world = world
        self.store = Memory()
        self.table = PassiveRegistry(process_class, self.store)
        self.passivator: Ref[Any] = world.start(Passivator, self.table)

    def call(self, name: str, message: Any = "count", timeout_s: float | None = 5.0) -> Any:
        return self.world.wait(self.table.ref(name).call(message, timeout_s))

    def active(self) -> list[str]:
        self.world.settle()
        return sorted(self.table.processes)
