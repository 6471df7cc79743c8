"""A node: one shard with its identity, names, groups, reports and dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from supervisors import context, limits, starting
from supervisors.dead_letters import DeadLetters
from supervisors.errors import CallExit, NotLocal
from supervisors.groups import Groups
from supervisors.observe.observer import Observer
from supervisors.ports.names import Ports
from supervisors.reasons import NOPROC
from supervisors.ref import Ref
from supervisors.registry import Registry
from supervisors.reports import Reports
from supervisors.shard import Shard

if TYPE_CHECKING:
    from contextvars import Token
    from random import Random

    from supervisors.future import Future
    from supervisors.host import Host
    from supervisors.pid import Pid
    from supervisors.process import Process
    from supervisors.remote.distribution import Distribution
    from supervisors.remote.refs import RemoteName

P = TypeVar("P", bound="Process")


class Node:
    """Where processes live: made by a host, known to others by name and creation.

    `with node:` makes it the active node, on which `MyActor.start()` starts. All methods may be
    called from any thread.
    """

    def __init__(
        self,
        host: Host,
        *,
        name: str = "local",
        creation: int = 1,
        random: Random,
        log_reports: bool = True,
    ) -> None:
        self.random = random
        self.name = name
        self.creation = creation
        self.registry = Registry()
        self.groups = Groups()
        self.ports = Ports()
        self.dead_letters = DeadLetters()
        self.restarts: dict[type, int] = {}
        self.reports = Reports(log=log_reports)
        self.observer = Observer(self)
        self.distribution: Distribution | None = None
        self.shard = Shard(self, host)
        self._tokens: list[Token[Node | None]] = []

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.creation}, {len(self.shard.processes)} processes>"

    def __enter__(self) -> Self:
        self._tokens.append(context.active_node.set(self))
        return self

    def __exit__(self, *exc_info: object) -> None:
        context.active_node.reset(self._tokens.pop())

    # -- starting ----------------------------------------------------------------------------

    def start(
        self,
        process_class: type[P],
        *args: Any,
        name: Any = None,
        timeout_s: float | None = None,
        **kwargs: Any,
    ) -> Future[Ref[P]]:
        """Start a process with the init handshake; await the future or get() it.

        It fails with StartError if init failed, was ignored (`ignored`) or ran past `timeout_s`,
        with AlreadyStarted if the name is taken.
        """
        return self.shard.start(process_class, args, kwargs, name=name, timeout_s=timeout_s)

    def launch(
        self, process_class: type[P], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Ref[P]:
        """Start as Pykka does, without a handshake: the constructor runs here and now."""
        return Ref(starting.launch(self, process_class, args, kwargs))

    # -- finding -----------------------------------------------------------------------------

    def whereis(self, name: Any) -> Ref[Any] | None:
        """Find a process by its registered name or `Via`."""
        return self.registry.lookup(name)

    def address(self, name: Any) -> Ref[Any]:
        """Find a process by its name; raises CallExit with `noproc` if there is none."""
        found = self.registry.lookup(name)
        if found is None:
            raise CallExit(name, NOPROC)
        return found

    def ref(self, pid: Pid) -> Ref[Any] | None:
        """Make a ref from a pid: of a process here or on a peer; None if it is gone from here."""
        if pid.node == self.name:
            process = self.shard.processes.get(pid.serial)
            return Ref(process) if process is not None and pid.creation == self.creation else None
        return None if self.distribution is None else self.distribution.ref(pid)

    # -- other nodes -------------------------------------------------------------------------

    def remote(self, name: Any, node_name: str) -> RemoteName:
        """Address whoever has a name on a node when a message arrives (OTP: `{Name, Node}`)."""
        return self._among_others().remote(name, node_name)

    def nodes(self) -> list[str]:
        """List the peers that are there now; none for a node without a `Distribution`."""
        return [] if self.distribution is None else self.distribution.nodes()

    def monitor_nodes(self, process: Process, *, wanted: bool = True) -> None:
        """Send NodeUp and NodeDown to a process here, or no longer; on the shard's thread."""
        self._among_others().monitor_nodes(process, wanted=wanted)

    def _among_others(self) -> Distribution:
        if self.distribution is None:
            raise NotLocal(f"{self} knows no other node; give it a Distribution")
        return self.distribution

    @property
    def healthy(self) -> bool:
        """Whether the node may go on: not too many abandoned threads still run."""
        return len(self.shard.abandoned) <= limits.ABANDONED_THREADS

    # -- told by the scheduler ---------------------------------------------------------------

    def began(self, process: Process) -> None:
        """Note that a process's init has answered ok; runs on the shard's thread."""
        if self.observer.listening:
            self.observer.began(process)

    def ended(self, process: Process, reason: Any) -> None:
        """Note that a process has ended; runs on the shard's thread."""
        if self.observer.listening:
            self.observer.ended(process, reason)
