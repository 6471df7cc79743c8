"""The placement process: every claim of a control node is decided here, one after the other.

Requests that come while a transaction is in flight are decided together in the next: a host that
everybody wants costs one write of its sum for many claims, and no two of our own ever collide. A
transaction that is lost to another control node's is decided again from what that one wrote.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from fifo.fleet import limits
from fifo.fleet.addresses import Addresses
from fifo.fleet.claims import Ledger
from fifo.model import keys
from fifo.model import limits as model_limits
from fifo.model.errors import Conflict, FifoError, OutcomeUnknown, Unavailable
from fifo.model.instance import Shares
from fifo.model.placement import Fleet
from fifo.store.contract import Txn
from supervisors import Future, GenServer, NoReply, Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.instance import Claim, InstanceSpec
    from fifo.store.catalog import Catalog
    from fifo.store.contract import TxnReply, WatchBatch
    from fifo.workflows.world import Placed
    from supervisors import Ref

NAME = "placement"


class Place(NamedTuple):
    """Claim hosts and addresses."""

    specs: tuple[InstanceSpec, ...]
    operation: str


class Release(NamedTuple):
    """Give claims back."""

    uids: tuple[str, ...]


class Resize(NamedTuple):
    """Change a claim."""

    spec: InstanceSpec


class Adopt(NamedTuple):
    """Take over a claim of what is on its host already."""

    claim: Claim


class Disown(NamedTuple):
    """Take a claim back that an operation adopted."""

    uid: str
    operation: str


Request: TypeAlias = Place | Release | Resize | Adopt | Disown


class Counts(NamedTuple):
    """What placement has done since it began: instances decided about, refusals by rule."""

    decisions: int
    refusals: dict[str, int]


COUNTS: Final = "counts"
"""The call that is answered with Counts."""


class _Waiting(NamedTuple):
    request: Request
    caller: Future[Any]


class PlacementServer(GenServer):
    """Decides, writes and answers; see `PlacementClient` for its calls."""

    def init(self, catalog: Catalog, utc: Callable[[], float]) -> None:
        """Take the fleet's columns from the catalog and follow it."""
        self.catalog = catalog
        self.utc = utc
        self.fleet = Fleet()
        self.addresses = Addresses()
        self.waiting: deque[_Waiting] = deque()
        self.in_flight = False
        self.unseen: set[str] = set()
        """Hosts whose sum was written while a transaction of our own was in flight."""
        self.attempts = 0
        self.refusals: dict[str, int] = {}
        self.decisions = 0
        self._load()
        self._stop_listening = catalog.listen(self._changed)

    def terminate(self, reason: Any) -> None:
        """Follow the catalog no more."""
        del reason
        self._stop_listening()

    def _load(self) -> None:
        catalog = self.catalog
        for uid in {*catalog.hosts.entries, *catalog.host_statuses.entries}:
            self.fleet.describe(catalog.hosts.record(uid), catalog.host_statuses.record(uid))
        for entry in catalog.allocations:
            self.fleet.use(entry.record.host, entry.record.used)
        self.addresses.load(catalog)

    def _changed(self, batch: WatchBatch) -> None:
        """Take changes of hosts and addresses over; runs between turns, on the same thread."""
        catalog = self.catalog
        for event in batch.events:
            key = event.key
            if key.startswith(keys.ADDRESS):
                path = key[len(keys.ADDRESS) :].decode()
                note = self.addresses.free_path if event.deleted else self.addresses.take_path
                note(path)
            elif key.startswith((keys.HYPERVISOR_SPEC, keys.HYPERVISOR_STATUS)):
                uid = keys.uid_of(key)
                spec, status = catalog.hosts.record(uid), catalog.host_statuses.record(uid)
                if spec is not None or status is not None:
                    self.fleet.describe(spec, status)
            elif key.startswith(keys.ALLOCATION):
                self.unseen.add(keys.uid_of(key))
        if not self.in_flight:
            self._take_sums()

    def _take_sums(self) -> None:
        """Take over the sums that were written meanwhile, our own last one among them."""
        for host in self.unseen:
            allocation = self.catalog.allocations.record(host)
            if allocation is not None:
                self.fleet.use(host, allocation.used)
        self.unseen.clear()

    # -- deciding ----------------------------------------------------------------------------

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Queue a request, which is answered when it is durable; tell COUNTS at once."""
        if message == COUNTS:
            return Counts(self.decisions, dict(self.refusals))
        if len(self.waiting) >= limits.PLACEMENTS_WAITING:
            caller.fail(Unavailable(f"{len(self.waiting)} placements wait already", NAME))
            return NoReply()
        self.waiting.append(_Waiting(message, caller))
        if not self.in_flight:
            self._decide()
        return NoReply()

    def _decide(self) -> None:
        """Decide for all that wait, as far as one transaction holds it, and write that."""
        ledger = Ledger(self.catalog, self.fleet, self.addresses, self.utc())
        answers: list[tuple[_Waiting, Any]] = []
        while self.waiting and (
            not answers
            or ledger.size() + _most_writes(self.waiting[0].request) <= limits.GROUP_OPERATIONS
        ):
            waiting = self.waiting.popleft()
            answers.append((waiting, self._answer(ledger, waiting.request)))
        if not ledger.writes:
            for waiting, answer in answers:
                waiting.caller.reply(answer)
            if self.waiting:
                self.ref.cast("decide")
            return
        self.in_flight = True
        txn = Txn(tuple(ledger.compares.values()), ledger.all_writes())
        written = self.catalog.store.txn(txn)
        written.add_done_callback(lambda future: self.ref.cast((future, answers, ledger)))

    def _answer(self, ledger: Ledger, request: Request) -> Any:
        if isinstance(request, Release):
            for uid in request.uids:
                ledger.release(uid)
            return None
        if isinstance(request, Resize):
            return ledger.resize(request.spec)
        if isinstance(request, Adopt):
            return ledger.adopt(request.claim)
        if isinstance(request, Disown):
            ledger.disown(request.uid, request.operation)
            return None
        placed: dict[str, Placed] = {}
        for spec in request.specs:
            self.decisions += 1
            placed[spec.uid] = answer = ledger.place(spec, request.operation)
            if answer.error is not None:
                for rule, count in answer.explanation.refused.items():
                    self.refusals[rule] = self.refusals.get(rule, 0) + count
        return placed

    # -- settling ----------------------------------------------------------------------------

    async def handle_cast(self, message: Any) -> None:
        """Answer the requests of a transaction that took, or decide them again."""
        if message == "decide":
            if not self.in_flight:
                self._decide()
            return
        written, answers, ledger = message
        try:
            reply: TxnReply = written.result()
        except OutcomeUnknown:
            await self._again(answers, ledger, self.catalog.store.revision)
        except FifoError as error:
            self._reload(ledger)
            for waiting, _ in answers:
                waiting.caller.fail(error)
        else:
            if not reply.succeeded:
                await self._again(answers, ledger, reply.revision)
            else:
                self.attempts = 0
                await self.catalog.at(reply.revision)
                for waiting, answer in answers:
                    waiting.caller.reply(answer)
        self.in_flight = False
        self._take_sums()
        if self.waiting:
            self._decide()

    async def _again(
        self, answers: list[tuple[_Waiting, Any]], ledger: Ledger, revision: int
    ) -> None:
        """Put requests back to the front, to be decided from what others have written."""
        await self.catalog.at(revision)
        self._reload(ledger)
        self.attempts += 1
        if self.attempts > model_limits.CLAIM_ATTEMPTS:
            self.attempts = 0
            for waiting, _ in answers:
                waiting.caller.fail(Conflict("others kept claiming the same hosts", NAME))
        else:
            self.waiting.extendleft(waiting for waiting, _ in reversed(answers))

    def _reload(self, ledger: Ledger) -> None:
        """Forget what a transaction that did not take had noted."""
        for host in ledger.allocations:
            allocation = self.catalog.allocations.record(host)
            self.fleet.use(host, allocation.used if allocation is not None else Shares())
        self.addresses.load(self.catalog)


def _most_writes(request: Request) -> int:
    """Say how many writes a request may need."""
    if isinstance(request, Place):
        return sum(2 + 2 * len(spec.nics) for spec in request.specs)
    if isinstance(request, Release):
        return 4 * len(request.uids)
    if isinstance(request, Adopt):
        return 2 + 2 * sum(map(len, request.claim.addresses.values()))
    if isinstance(request, Disown):
        return 4
    return 2 + 4 * len(request.spec.nics)


class PlacementClient:
    """What workflows know placement as; any thread of the node may hold it."""

    def __init__(self, find: Callable[[], Ref[Process]]) -> None:
        self._find = find

    def place(self, specs: tuple[InstanceSpec, ...], operation: str) -> Future[dict[str, Placed]]:
        """Claim a host and addresses for each instance."""
        return self._find().call(Place(specs, operation), timeout_s=None)

    def release(self, uids: tuple[str, ...]) -> Future[None]:
        """Give claims back."""
        return self._find().call(Release(uids), timeout_s=None)

    def adopt(self, claim: Claim) -> Future[Placed]:
        """Write a claim as its host has it."""
        return self._find().call(Adopt(claim), timeout_s=None)

    def disown(self, uid: str, operation: str) -> Future[None]:
        """Take a claim back that an operation adopted."""
        return self._find().call(Disown(uid, operation), timeout_s=None)

    def resize(self, spec: InstanceSpec) -> Future[Placed]:
        """Change a claim to what a spec now wants."""
        return self._find().call(Resize(spec), timeout_s=None)
