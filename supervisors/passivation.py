"""Processes that are put away when idle and brought back by the next message to their name.

A `Passive` process that has been idle stores its state and ends; its name stays resolvable in a
`PassiveRegistry`, and the next message to it starts it again from the store (`passivator.py`). One
that crashes is not restarted but brought back by the next message, from what it stored last. After
the passivation of Akka's and Orleans' entities, without their placement on other nodes.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from supervisors import context, fencing, limits, turns
from supervisors._pykka import PYKKA_MESSAGES
from supervisors.errors import SupervisorsError, WouldDeadlock
from supervisors.future import Future
from supervisors.gen_server import GenServer
from supervisors.idleness import IdleWatch
from supervisors.messages import ASK, CALL, CAST, INFO, PYKKA, STEP
from supervisors.process import DEAD, DOOMED, TRAPS_EXIT
from supervisors.reasons import NORMAL, is_orderly
from supervisors.ref import Ref
from supervisors.registry import Via
from supervisors.results import Ignore, Stop

if TYPE_CHECKING:
    from supervisors.process import Process
    from supervisors.shard import Shard

logger = logging.getLogger("supervisors")


class Store(Protocol):
    """Where states are kept; either method may return an awaitable of its result."""

    def save(self, name: str, state: bytes) -> Any:
        """Keep the state of a name in place of the one before."""

    def load(self, name: str) -> Any:
        """Give the state kept last as bytes, or None if there is none."""


async def _outcome(shard: Shard, value: Any) -> Any:
    """Give what a user's function gave, once it is there; not to a turn that was abandoned."""
    outcome = await value if inspect.isawaitable(value) else value
    fencing.leave(shard)
    return outcome


class Passive(GenServer):
    """A server that is put away when idle; subclasses write `init`, `dump` and the handlers.

    Started by a message to its name, never by hand. It traps exits, so that an orderly end stores
    its state too: call `await super().terminate(reason)` where you override it.
    """

    passivate_after_s: ClassVar[float] = limits.PASSIVATE_S
    """Put away after so many to twice so many idle seconds."""

    passive_name: str
    """The name it is known by, in its registry and in the store."""

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer the start at once; the state is loaded in the first step, ahead of messages."""
        self._table, self.passive_name = args
        self._is_loaded = self._is_stored = False
        self._flags |= TRAPS_EXIT
        self._watch = IdleWatch(self, self.passivate_after_s, self.passivate)
        turns.push_front(self._shard, self, STEP, lambda: self._load(kwargs), None)

    async def _load(self, kwargs: dict[str, Any]) -> Any:
        state = await _outcome(self._shard, self._table.store.load(self.passive_name))
        result = await _outcome(self._shard, self.init(self.passive_name, state, **kwargs))
        if isinstance(result, (Ignore, Stop)):
            return result if isinstance(result, Stop) else Stop(NORMAL)
        self._is_loaded = True
        self._watch.arm()
        return result

    def init(self, name: str, state: bytes | None) -> Any:
        """Set up from what `dump` gave last, or from nothing if there was nothing."""
        raise NotImplementedError(f"{type(self).__name__} has no init(name, state)")

    def dump(self) -> bytes:
        """Give the state as bytes that `init` makes it from again."""
        raise NotImplementedError(f"{type(self).__name__} has no dump()")

    async def save(self) -> None:
        """Store the state now; call it whenever losing it to a crash would be too much."""
        await _outcome(self._shard, self._table.store.save(self.passive_name, self.dump()))

    async def passivate(self) -> Stop | None:
        """Store the state and end, unless a message came meanwhile: `return await ...` it.

        Runs by itself after the idle time. A store that fails is logged, and the process stays and
        tries again after another idle time.
        """
        if not self.mailbox_length and await self._is_put_away() and not self.mailbox_length:
            self._is_stored = True
            return Stop(NORMAL)
        self._watch.arm()
        return None

    async def _is_put_away(self) -> bool:
        try:
            await self.save()
        except Exception:
            logger.exception("%s stays active: its state could not be stored", self)
            return False
        return True

    async def terminate(self, reason: Any) -> None:
        """Store the state at an orderly end, and leave what waits to the next life."""
        if self._is_loaded and is_orderly(reason):
            if not self._is_stored:
                await self.save()
            self._table.hand_back(self)


class Parcel(NamedTuple):
    """A message to a name, as the directory gets it."""

    name: str
    kind: int
    message: Any


class PassiveRef(Ref[Passive]):
    """The address of a name rather than of one life: good while the process comes and goes.

    All verbs that carry a message bring the process back. `stop`, `exit` and `kill` act on it if it
    is active and do not bring it back; what waits behind a stop is for the next life. `is_alive`
    tells whether the name can be reached. Link and monitor what `registry.active(name)` gives.
    """

    __slots__ = ("_passive_name", "_table")

    def __init__(self, table: PassiveRegistry, name: str) -> None:
        self._table = table
        self._passive_name = name

    @property
    def _process(self) -> Any:
        return self._table.directory

    @property
    def actor_class(self) -> type[Passive]:  # type: ignore[override]  # As LeanRef does.
        """The class of the processes of the registry."""
        return self._table.process_class

    @property
    def name(self) -> Any:
        """The name, as it is looked up."""
        return Via(self._table, self._passive_name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PassiveRef) and (
            other._table is self._table and other._passive_name == self._passive_name
        )

    def __hash__(self) -> int:
        return hash((id(self._table), self._passive_name))

    def __str__(self) -> str:
        return f"passive {self._table.process_class.__name__} {self._passive_name!r}"

    def cast(self, message: Any) -> None:
        """Send a request that wants no answer."""
        super().cast(Parcel(self._passive_name, CAST, message))

    def send(self, message: Any) -> None:
        """Send a plain message."""
        super().send(Parcel(self._passive_name, INFO, message))

    def tell(self, message: Any) -> None:
        """Send a plain message, or one of Pykka's own."""
        kind = PYKKA if message.__class__ in PYKKA_MESSAGES else INFO
        super().send(Parcel(self._passive_name, kind, message))

    def call(self, message: Any, timeout_s: float | None = limits.CALL_TIMEOUT_S) -> Future[Any]:
        """Send a request and give a future of its answer; the timeout covers the activation."""
        if self._is_running_here():
            raise WouldDeadlock(f"{self} called itself and would wait for its own answer")
        return super().call(Parcel(self._passive_name, CALL, message), timeout_s)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message and wait for the answer, or give its future (Pykka)."""
        parcel = Parcel(self._passive_name, ASK, message)
        if block:
            return super().ask(parcel, timeout=timeout)
        future = super().ask(parcel, block=False)
        if self._is_running_here():
            future._target = self._table.active(self._passive_name)
        return future

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the process to store its state and end, if it is active; True if it was (Pykka)."""
        active = self._table.active(self._passive_name)
        if active is not None:
            return active.stop(block=block, timeout=timeout)
        future: Future[bool] = Future()
        future.set(False)
        return future.get() if block else future

    def exit(self, reason: Any) -> None:
        """Send an exit signal to the process if it is active."""
        active = self._table.active(self._passive_name)
        if active is not None:
            active.exit(reason)

    def proxy(self) -> Any:
        """Refuse: a proxy looks at the attributes of one living process."""
        raise TypeError(f"{self} has no proxy: make one of `registry.active(name)`, or use call")

    def _is_running_here(self) -> bool:
        shard = context.running_shard()
        active = self._table.processes.get(self._passive_name)
        return shard is not None and active is not None and shard.current is active


class PassiveRegistry:
    """A name table for `Via`: every name resolves, whether its process is active or put away.

    Made by whoever starts the `Passivator` and handed to those who look names up; `ref` may be
    called from any thread, the rest is the directory's and the scheduler's.
    """

    def __init__(self, process_class: type[Passive], store: Store) -> None:
        self.process_class = process_class
        self.store = store
        self.processes: dict[str, Process] = {}
        self.activator: Ref[Any] | None = None
        self._directory: Any = None

    @property
    def directory(self) -> Any:
        """The directory's process; raises SupervisorsError while no Passivator was started."""
        if self._directory is None:
            name = self.process_class.__name__
            raise SupervisorsError(f"no Passivator runs for {name}: start Passivator(registry)")
        return self._directory

    def take_directory(self, process: Process) -> None:
        """Note which process is the directory; called by it when it starts."""
        self._directory = process

    def ref(self, name: str) -> PassiveRef:
        """Give the address of a name."""
        return PassiveRef(self, name)

    def active(self, name: str) -> Ref[Any] | None:
        """Give the process that has the name now, None if it is put away."""
        process = self.processes.get(name)
        return None if process is None else process.ref

    def register_name(self, name: str, ref: Ref[Any]) -> bool:
        """Note an activation and hand over what waits for it; False if the name is taken."""
        process = self.processes.setdefault(name, ref._process)
        if process is not ref._process:
            return False
        self.directory.hand_over(name, process)
        return True

    def hand_back(self, process: Passive) -> None:
        """Take what waits for a process that ends in order; called by it, on its shard."""
        directory = self._directory
        if directory is not None and directory._state not in (DOOMED, DEAD):
            directory.take_back(process)

    def unregister_name(self, name: str) -> None:
        """Note the end of an active process."""
        watch = getattr(self.processes.pop(name, None), "_watch", None)
        if watch is not None:
            watch.cancel()

    def whereis_name(self, name: str) -> PassiveRef | None:
        """Give the address of a name, None while the directory is not running."""
        directory = self._directory
        return self.ref(name) if directory is not None and directory._state != DEAD else None
