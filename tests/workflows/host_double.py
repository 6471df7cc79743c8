"""A double for sessions, agents and hosts together: obeys commands and reports into the store.

It stands in where workflows are proven by themselves; `tests/system` has the real chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from fifo.model import keys, records
from fifo.model.errors import DriverFailed, FifoError, NotFound, Unavailable
from fifo.model.instance import InstanceStatus, Snapshot
from fifo.model.link import CommandResult
from fifo.store.contract import Put, Txn
from fifo.workflows.failures import failure_of
from supervisors import Future

if TYPE_CHECKING:
    from fifo.model.instance import Claim, InstanceSpec
    from fifo.model.link import Command
    from fifo.store.catalog import Catalog
    from fifo.store.contract import Store


@dataclass
class HostTruth:
    """What is on the host: outlives crashes of the control plane."""

    instances: dict[str, InstanceSpec] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    boots: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, list[str]] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    answered: dict[tuple[str, str, str], CommandResult] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    """Verbs of the commands that reached it."""
    creates: int = 0
    away: bool = False
    awaited: frozenset[str] = frozenset()
    """Hosts that are still to be met since the start."""
    silent: bool = False
    """It answers nothing."""
    refuses: frozenset[str] = frozenset()
    """Verbs that the host refuses."""
    fails: str = ""
    """Why each instance that it is given fails by itself; "" for none that does."""
    loses: set[str] = field(default_factory=set)
    """Verbs whose next answer is lost after the work was done."""


class HostDouble:
    """Fulfils `fifo.workflows.world.Hosts` for any number of hosts with one truth."""

    def __init__(self, truth: HostTruth, store: Store, catalog: Catalog) -> None:
        self.truth = truth
        self.store = store
        self.catalog = catalog

    def awaited(self) -> frozenset[str]:
        return self.truth.awaited

    def owners_fence(self, host: str) -> int:
        return 1

    def command(self, host: str, command: Command) -> Future[CommandResult]:
        future: Future[CommandResult] = Future()
        if self.truth.away:
            future.fail(Unavailable("it is away", host))
            return future
        self.truth.sent.append(command.verb)
        if self.truth.silent:
            return future
        key = (command.operation, command.step, command.uid)
        result = self.truth.answered.get(key)
        if result is None:
            try:
                if command.verb in self.truth.refuses:
                    raise DriverFailed("refused on purpose", command.uid)
                value = getattr(self, f"_{command.verb}")(command)
                failure = None
            except FifoError as error:
                value, failure = None, failure_of(error)
            result = CommandResult(
                operation=command.operation,
                step=command.step,
                uid=command.uid,
                failure=failure,
                value=value,
            )
            self.truth.answered[key] = result
        if command.verb == "remove" and result.failure is None:
            self._forget_stranger(host, command.uid)
        if command.verb in self.truth.loses:
            self.truth.loses.discard(command.verb)
            future.fail(Unavailable("the answer was lost", host))
        else:
            future.reply(result)
        return future

    def _realise(self, command: Command) -> Any:
        assert command.spec is not None
        if command.uid not in self.truth.instances:
            self.truth.creates += 1
        self.truth.instances[command.uid] = command.spec
        if command.claim is not None:
            self.truth.claims[command.uid] = command.claim
        self._report(command, command.spec)
        return {"applied_live": [], "pending_reboot": []}

    def _report(self, command: Command, spec: InstanceSpec) -> None:
        names = self.truth.snapshots.get(command.uid, [])
        status = InstanceStatus(
            uid=command.uid,
            host=self.truth.claims[command.uid].host,
            state="failed" if self.truth.fails else spec.wanted,
            reason=self.truth.fails,
            generation=spec.generation,
            boot_generation=spec.boot_generation,
            since=0.0,
            snapshots=tuple(Snapshot(name=name, created=0.0) for name in names),
        )
        key = keys.by_uid(keys.INSTANCE_STATUS, command.uid)
        self.store.txn(Txn(then=(Put(key, records.encode(status)),)))

    def _describe(self, command: Command) -> Any:
        spec = self.truth.instances.get(command.uid)
        if spec is None:
            raise NotFound("nobody knows it", command.uid)
        return msgspec.to_builtins({"spec": spec, "claim": self.truth.claims[command.uid]})

    def _tell(self, command: Command) -> None:
        self._report(command, self.truth.instances[command.uid])

    def _remove(self, command: Command) -> None:
        self.truth.instances.pop(command.uid, None)
        self.truth.snapshots.pop(command.uid, None)

    def _forget_stranger(self, host: str, uid: str) -> None:
        status = self.catalog.host_statuses.record(host)
        if status is not None and uid in status.foreign:
            left = tuple(own for own in status.foreign if own != uid)
            put = Put(
                keys.by_uid(keys.HYPERVISOR_STATUS, host),
                records.encode(msgspec.structs.replace(status, foreign=left)),
            )
            self.store.txn(Txn(then=(put,)))

    def _snapshot(self, command: Command) -> None:
        self.truth.snapshots.setdefault(command.uid, [])
        if command.argument not in self.truth.snapshots[command.uid]:
            self.truth.snapshots[command.uid].append(command.argument)
        self._report(command, self.truth.instances[command.uid])

    def _delete_snapshot(self, command: Command) -> None:
        names = self.truth.snapshots.get(command.uid, [])
        if command.argument not in names:
            raise NotFound("no such snapshot", command.argument)
        names.remove(command.argument)
        self._report(command, self.truth.instances[command.uid])

    def _roll_back(self, command: Command) -> None:
        names = self.truth.snapshots[command.uid]
        del names[names.index(command.argument) + 1 :]
        self._report(command, self.truth.instances[command.uid])

    def _fetch_image(self, command: Command) -> Any:
        assert command.image is not None
        self.truth.images.add(command.argument)
        return msgspec.to_builtins(msgspec.structs.replace(command.image, size_bytes=7))

    _capture_image = _fetch_image

    def _delete_image(self, command: Command) -> None:
        self.truth.images.discard(command.argument)
