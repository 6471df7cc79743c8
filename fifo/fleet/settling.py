"""Settling with a host that is there: what it owes, and what it has not heard of.

A debt may be written at any time, also while its host is ready: the answer to a removal can be lost
on a line that is good again before the operation gives up. So what a host owes is looked through
when it greets, whenever a debt of its is written, and again a while after it did not do one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.fleet import limits
from fifo.model import keys, records
from fifo.model.errors import Conflict, FifoError, NotFound, Unavailable
from fifo.model.link import Command
from fifo.store.contract import Delete, Put, Txn, unchanged
from fifo.workflows import instances
from fifo.workflows.failures import error_of
from supervisors import Continue, Down, Future, GenServer, Stop, SupervisorsError, within

if TYPE_CHECKING:
    from fifo.fleet.ownership import Ownership
    from fifo.fleet.session import AgentLink
    from fifo.model.instance import Claim, Cleanup, InstanceSpec, InstanceStatus, Owed
    from fifo.model.link import CommandResult, Hello, Verb
    from fifo.store.catalog import Entry
    from fifo.store.contract import WatchBatch
    from fifo.workflows.world import World, Write
    from supervisors import Ref

logger = logging.getLogger("fifo.fleet")

_REMOVES: Final[dict[Owed, Verb]] = {
    "instance": "remove",
    "image": "delete_image",
    "snapshot": "delete_snapshot",
}
"""The order by which a host does what it owes."""
_PATIENCE_S: Final[dict[Owed, float]] = {
    "instance": limits.SETTLE_S,
    "image": limits.SETTLE_S,
    "snapshot": limits.SETTLE_SNAPSHOT_S,
}
"""How long the rest of what is open with a host waits for the answer to such an order."""
LOOK: Final = "look"
"""The message that has a Settler look at what is open."""


class Settling:
    """What is open with one host, for its owner."""

    def __init__(self, host: str, world: World, link: AgentLink, ownership: Ownership) -> None:
        self.host = host
        self.world = world
        self.link = link
        self.ownership = ownership
        self._behind: dict[str, int] = {}
        """Uids whose specs the host does not have, and the generation that it had of them."""
        self._put_off: dict[bytes, float] = {}
        """What the host did not do, by key, and the second from which on it is asked again."""

    async def greet(self, hello: Hello, now_s: float) -> float | None:
        """Do the cleanups that the host owes, then bring it the specs that it does not have.

        Gives what `settle` gives.
        """
        await self._collect_debts(now_s)
        for status in hello.statuses:
            try:
                await self._overtake(status)
            except FifoError as error:
                logger.warning("A spec newer than host %s's was not written: %s", self.host, error)
        seen = {status.uid: status.generation for status in hello.statuses}
        for claim in (entry.record for entry in self.world.catalog.claims):
            if claim.host == self.host:
                self._behind[claim.uid] = seen.get(claim.uid, -1)
        await self._bring_specs(now_s)
        return min(self._put_off.values(), default=None)

    async def settle(self, now_s: float) -> float | None:
        """Do what is owed and is not put off; gives the second at which to look again, if any.

        `now_s` is the node's clock. Errors are told of in the log, each with what it is about, and
        put off no more than that. Called by the Settler, in its turn.
        """
        self._put_off = {key: due_s for key, due_s in self._put_off.items() if due_s > now_s}
        await self._collect_debts(now_s)
        await self._bring_specs(now_s)
        return min(self._put_off.values(), default=None)

    # -- debts -------------------------------------------------------------------------------

    async def _collect_debts(self, now_s: float) -> None:
        """Have removed what could not be; the claims are given back when the host confirms."""
        own = keys.cleanup(self.host, "")
        owed = [
            entry
            for entry in self.world.catalog.cleanups
            if entry.key.startswith(own) and entry.key not in self._put_off
        ]
        # The agent answers a step that it has done from its record: each asking is a step.
        step = f"cleanup-{int(1_000 * now_s)}"
        for first in range(0, len(owed), limits.SETTLE_AT_ONCE):
            some = owed[first : first + limits.SETTLE_AT_ONCE]
            asked = [(entry, self._ask_removal(entry, step)) for entry in some]
            began = self.world.utc()
            for entry, answer in asked:
                try:
                    await self._confirm(entry, answer, began)
                    await self._acquit(entry)
                except (FifoError, SupervisorsError) as error:
                    logger.warning(
                        "Host %s still owes %s: %s", self.host, entry.key.decode(), error
                    )
                    self._put_off[entry.key] = now_s + limits.SETTLE_AGAIN_S

    def _ask_removal(self, entry: Entry[Cleanup], step: str) -> Future[CommandResult]:
        try:
            debt = entry.record
        except FifoError as error:
            unread: Future[CommandResult] = Future()
            unread.fail(error)
            return unread
        # Of an instance may be owed several snapshots at once.
        step = f"{step}-{debt.snapshot}" if debt.snapshot else step
        verb = _REMOVES[debt.what]
        return self._order(verb, debt.uid, step, claim=debt.claim, argument=debt.snapshot)

    async def _confirm(
        self, entry: Entry[Cleanup], answer: Future[CommandResult], began: float
    ) -> None:
        """Wait until the host says that it is done; raises what it says otherwise."""
        what = entry.record.what
        try:
            await self._answer(answer, began, _PATIENCE_S[what])
        except NotFound:
            # Of an instance that the host does not know it has no snapshot.
            if what != "snapshot":
                raise

    async def _acquit(self, entry: Entry[Cleanup]) -> None:
        """Give back what was held for a debt that the host has confirmed, and forget the debt."""
        catalog = self.world.catalog
        debt = entry.record
        gone: list[Write] = [Delete(entry.key)]
        if debt.what == "instance" and not self._is_elsewhere(debt.uid):
            # Even of an instance that has no claim by now: a round may have ended after this.
            await self.world.placement.release((debt.uid,))
            gone += self._records_of(debt.uid)
        compares = (self.ownership.own(), unchanged(entry.key, entry.revision))
        reply = await self.world.store.txn(Txn(compares, tuple(gone)))
        await catalog.at(reply.revision)
        if not reply.succeeded:
            raise Conflict("it was written anew, or the host has a newer owner", debt.uid)

    def _is_elsewhere(self, uid: str) -> bool:
        """Tell that an instance has its place on another host, which is not touched by a debt."""
        claim = self.world.catalog.claims.record(uid)
        return claim is not None and claim.host != self.host

    def _records_of(self, uid: str) -> list[Write]:
        """Give what goes with an instance that its host has removed; what is wanted stays."""
        spec = self.world.catalog.specs.record(uid)
        if spec is not None and not spec.deleting:
            return [Delete(keys.by_uid(keys.INSTANCE_STATUS, uid))]
        return instances.forget(self.world.catalog, uid)

    # -- specs -------------------------------------------------------------------------------

    async def _bring_specs(self, now_s: float) -> None:
        """Bring specs that no operation is about and that the agent has not seen yet."""
        found = [(uid, self._to_bring(uid, seen)) for uid, seen in self._behind.items()]
        behind = [brought for _, brought in found if brought is not None]
        self._behind = {uid: self._behind[uid] for uid, brought in found if brought is not None}
        due = [
            (spec, claim)
            for spec, claim in behind
            if keys.by_uid(keys.INSTANCE_SPEC, spec.uid) not in self._put_off
        ]
        for first in range(0, len(due), limits.SETTLE_AT_ONCE):
            asked = [
                (spec, self._order("realise", spec.uid, _step_of(spec), claim=claim, spec=spec))
                for spec, claim in due[first : first + limits.SETTLE_AT_ONCE]
            ]
            began = self.world.utc()
            for spec, answer in asked:
                try:
                    await self._answer(answer, began, limits.SETTLE_S)
                except (Unavailable, SupervisorsError) as error:
                    logger.warning("Host %s did not take %s: %s", self.host, spec.uid, error)
                    key = keys.by_uid(keys.INSTANCE_SPEC, spec.uid)
                    self._put_off[key] = now_s + limits.SETTLE_AGAIN_S
                    continue
                except FifoError as error:
                    # It would refuse the same spec again.
                    logger.warning("Host %s refused %s: %s", self.host, spec.uid, error)
                del self._behind[spec.uid]

    def _to_bring(self, uid: str, seen: int) -> tuple[InstanceSpec, Claim] | None:
        """Give a spec that the host has to be brought, with its claim; None if it has not.

        What an operation is about that one brings, and what the host owes it is not to make.
        """
        catalog = self.world.catalog
        claim, spec = catalog.claims.record(uid), catalog.specs.record(uid)
        if claim is None or claim.host != self.host or uid in catalog.busy:
            return None
        if self.host in catalog.owed.get(uid, ()):
            return None
        return (spec, claim) if spec is not None and seen < spec.generation else None

    async def _overtake(self, status: InstanceStatus) -> None:
        """Make a spec newer than what its host has seen, if it is older: the store was put back.

        What is wanted is what the store says. The host obeys no generation that it is beyond; this
        one asks for nothing, so that what is lost is not made anew, nor what stays down started.
        """
        catalog = self.world.catalog
        entry = catalog.specs.get(status.uid)
        claim = catalog.claims.record(status.uid)
        if entry is None or entry.record.generation >= status.generation:
            return
        if claim is None or claim.host != self.host:
            return
        generation = status.generation + 1
        newer = msgspec.structs.replace(
            entry.record,
            generation=generation,
            unasked=generation,
            boot_generation=max(entry.record.boot_generation, status.boot_generation),
        )
        compares = (self.ownership.own(), unchanged(entry.key, entry.revision))
        # Lost to a change that somebody makes meanwhile it is made at the next greeting.
        reply = await self.world.store.txn(Txn(compares, (Put(entry.key, records.encode(newer)),)))
        await catalog.at(reply.revision)

    # -- orders ------------------------------------------------------------------------------

    async def _answer(self, answer: Future[CommandResult], began: float, most_s: float) -> None:
        """Wait for the answer to what was asked at a UTC second; raises what it says as failure."""
        left_s = min(most_s, max(0.0, began + most_s - self.world.utc()))
        result = await within(left_s, answer)
        if result.failure is not None:
            raise error_of(result.failure)

    def _order(
        self,
        verb: Verb,
        uid: str,
        step: str,
        *,
        claim: Claim | None,
        spec: InstanceSpec | None = None,
        argument: str = "",
    ) -> Future[CommandResult]:
        catalog = self.world.catalog
        command = Command(
            fence=self.ownership.fence,
            operation=f"session-{self.ownership.fence}",
            step=step,
            verb=verb,
            uid=uid,
            until=self.world.utc() + limits.SETTLE_S,
            spec=spec,
            claim=claim,
            argument=argument,
            networks=instances.networks_of(catalog, claim),
            image=instances.image_of(catalog, spec) if spec is not None else None,
            started=instances.last_start_of(catalog, claim) if spec is not None else 0,
        )
        return self.link.command(command)


def _step_of(spec: InstanceSpec) -> str:
    return f"generation-{spec.generation}"


class Settler(GenServer):
    """Settles with a host beside its session, from a greeting on until the host is lost.

    The session starts it and ends it; it hears of the debts that are written meanwhile by itself.
    """

    def init(self, settling: Settling, session: Ref[Any], hello: Hello) -> Any:
        """Follow the catalog before the first look, so that no debt falls between."""
        self.settling = settling
        self.monitor(session)
        self.asked = True
        self.timer: Any = None
        self._stop_listening = settling.world.catalog.listen(self._changed)
        return Continue(hello)

    def _changed(self, batch: WatchBatch) -> None:
        """Look again for a debt that was written; runs between turns, on the same thread."""
        if not self.is_running():
            # A process that is killed, as when its host is lost, cleans nothing up itself.
            self._stop_listening()
            return
        own = keys.cleanup(self.settling.host, "")
        news = any(event.key.startswith(own) and not event.deleted for event in batch.events)
        if news and not self.asked:
            self.asked = True
            self.ref.send(LOOK)

    async def handle_continue(self, argument: Any) -> None:
        """Settle what is open with a host that has just greeted."""
        self.asked = False
        self._look_at(await self.settling.greet(argument, self.node.shard.now_s()))

    async def handle_info(self, message: Any) -> Any:
        """Look at what is open again; end with the session."""
        if isinstance(message, Down):
            return Stop("normal")
        if message != LOOK:
            return super().handle_info(message)
        self.asked = False
        self._look_at(await self.settling.settle(self.node.shard.now_s()))
        return None

    def _look_at(self, due_s: float | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if due_s is not None:
            self.timer = self.send_after(max(0.0, due_s - self.node.shard.now_s()), LOOK)
