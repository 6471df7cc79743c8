"""The placement process: every claim of a control node is decided here, one after the other.

Requests that come while a transaction is in flight are decided together in the next: a host that
everybody wants costs one write of its sum for many claims, and no two of our own ever collide. A
transaction that is lost to another control node's is decided again from what that one wrote.

How much one transaction holds is not reckoned but tried: what does not fit behind the others is
taken back, and is the first of the next one.
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
from fifo.store.limits import TXN_COMPARES, TXN_OPERATIONS
from supervisors import Future, GenServer, NoReply, Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.instance import Claim, InstanceSpec
    from fifo.store.catalog import Catalog
    from fifo.store.contract import TxnReply, WatchBatch
    from fifo.workflows.world import Holding, Placed, Unclaimable
    from supervisors import Ref

NAME = "placement"
GROUP_KEYS: Final = min(TXN_COMPARES, TXN_OPERATIONS)
"""Keys of one placement transaction: each is compared, and most are written, those of the hosts'
sums among them; nothing else is in it."""


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


class Keep(NamedTuple):
    """Keep from others what strangers have."""

    holdings: tuple[Holding, ...]


class Fill(NamedTuple):
    """Claim what instances have and never claimed."""

    uids: tuple[str, ...]


Request: TypeAlias = Place | Release | Resize | Adopt | Disown | Keep | Fill


class Counts(NamedTuple):
    """What placement has done since it began: instances decided about, refusals by rule."""

    decisions: int
    refusals: dict[str, int]


COUNTS: Final = "counts"
"""The call that is answered with Counts."""


class _Asked:
    """A request that is answered when each of its parts is durable.

    A part is what has to be in one transaction: an instance to be placed, a claim to be given back.
    """

    __slots__ = ("answer", "caller", "left")

    def __init__(self, request: Request, caller: Future[Any]) -> None:
        self.caller = caller
        self.left: deque[Request] = deque(_parts(request))
        """What is still to be decided, in its order."""
        self.answer: Any = None
        if isinstance(request, Place | Fill):
            self.answer = {} if isinstance(request, Place) else []

    def take(self, answer: Any) -> None:
        """Take over what became of a part."""
        if isinstance(answer, dict):
            self.answer.update(answer)
        elif isinstance(answer, list):
            self.answer += answer
        else:
            self.answer = answer


class _Decided(NamedTuple):
    asked: _Asked
    part: Request
    answer: Any


def _parts(request: Request) -> tuple[Request, ...]:
    if isinstance(request, Place):
        return tuple(Place((spec,), request.operation) for spec in request.specs)
    if isinstance(request, Release):
        return tuple(Release((uid,)) for uid in request.uids)
    if isinstance(request, Fill):
        return tuple(Fill((uid,)) for uid in request.uids)
    if isinstance(request, Keep):
        return tuple(Keep((own,)) for own in request.holdings)
    return (request,)


class PlacementServer(GenServer):
    """Decides, writes and answers; see `PlacementClient` for its calls."""

    def init(self, catalog: Catalog, utc: Callable[[], float]) -> None:
        """Take the fleet's columns from the catalog and follow it."""
        self.trap_exit = True
        self.catalog = catalog
        self.utc = utc
        self.fleet = Fleet()
        self.addresses = Addresses()
        self.waiting: deque[_Asked] = deque()
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
        asked = _Asked(message, caller)
        if not asked.left:
            return asked.answer
        self.waiting.append(asked)
        if not self.in_flight:
            self._decide()
        return NoReply()

    def _decide(self) -> None:
        """Decide for all that wait, as far as one transaction holds it, and write that."""
        ledger = Ledger(self.catalog, self.fleet, self.addresses, self.utc())
        group: list[_Decided] = []
        while self.waiting and len(group) < limits.GROUP_PARTS:
            asked = self.waiting[0]
            mark = ledger.writes.mark()
            part = asked.left[0]
            answer = self._answer(ledger, part)
            # Who alone is too much for the store is told so, and nobody with it.
            if group and ledger.writes.size() > GROUP_KEYS:
                ledger.writes.back_to(mark)
                break
            self._count(answer)
            group.append(_Decided(asked, part, answer))
            asked.left.popleft()
            if not asked.left:
                self.waiting.popleft()
        txn = ledger.writes.txn()
        if not txn.then:
            _reply(group)
            if self.waiting:
                self.ref.cast("decide")
            return
        self.in_flight = True
        written = self.catalog.store.txn(txn)
        written.add_done_callback(lambda future: self.ref.cast((future, group, ledger)))

    def _answer(self, ledger: Ledger, part: Request) -> Any:
        answer: Any = None
        match part:
            case Place():
                answer = {spec.uid: ledger.place(spec, part.operation) for spec in part.specs}
            case Release():
                for uid in part.uids:
                    ledger.release(uid)
            case Resize():
                answer = ledger.resize(part.spec)
            case Adopt():
                answer = ledger.adopt(part.claim)
            case Disown():
                ledger.disown(part.uid, part.operation)
            case Keep():
                for own in part.holdings:
                    ledger.keep(own)
            case Fill():
                answer = [(uid, error) for uid in part.uids for error in ledger.backfill(uid)]
        return answer

    def _count(self, answer: Any) -> None:
        """Count what was decided about instances to be placed."""
        if not isinstance(answer, dict):
            return
        for placed in answer.values():
            self.decisions += 1
            if placed.error is not None:
                for rule, count in placed.explanation.refused.items():
                    self.refusals[rule] = self.refusals.get(rule, 0) + count

    # -- settling ----------------------------------------------------------------------------

    async def handle_cast(self, message: Any) -> None:
        """Answer the requests of a transaction that took, or decide them again."""
        if message == "decide":
            if not self.in_flight:
                self._decide()
            return
        written, group, ledger = message
        try:
            reply: TxnReply = written.result()
        except OutcomeUnknown:
            await self._again(group, ledger, self.catalog.store.revision)
        except FifoError as error:
            self._reload(ledger)
            self._fail(group, error)
        else:
            if not reply.succeeded:
                await self._again(group, ledger, reply.revision)
            else:
                self.attempts = 0
                await self.catalog.at(reply.revision)
                _reply(group)
        self.in_flight = False
        self._take_sums()
        if self.waiting:
            self._decide()

    async def _again(self, group: list[_Decided], ledger: Ledger, revision: int) -> None:
        """Put requests back to the front, to be decided from what others have written."""
        await self.catalog.at(revision)
        self._reload(ledger)
        self.attempts += 1
        if self.attempts > model_limits.CLAIM_ATTEMPTS:
            self.attempts = 0
            self._fail(group, Conflict("others kept claiming the same hosts", NAME))
            return
        for decided in reversed(group):
            asked = decided.asked
            if not asked.left:
                self.waiting.appendleft(asked)
            asked.left.appendleft(decided.part)

    def _fail(self, group: list[_Decided], error: FifoError) -> None:
        """Fail the requests of a group, one with further parts too: it is asked again whole."""
        for asked in dict.fromkeys(decided.asked for decided in group):
            if asked.left:
                self.waiting.remove(asked)
            asked.caller.fail(error)

    def _reload(self, ledger: Ledger) -> None:
        """Forget what a transaction that did not take had noted."""
        for host in ledger.charged:
            allocation = self.catalog.allocations.record(host)
            self.fleet.use(host, allocation.used if allocation is not None else Shares())
        self.addresses.load(self.catalog)


def _reply(group: list[_Decided]) -> None:
    """Answer the requests that have no further parts."""
    for decided in group:
        decided.asked.take(decided.answer)
    for asked in dict.fromkeys(decided.asked for decided in group):
        if not asked.left:
            asked.caller.reply(asked.answer)


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

    def keep(self, holdings: tuple[Holding, ...]) -> Future[None]:
        """Keep from others what strangers have."""
        return self._find().call(Keep(holdings), timeout_s=None)

    def backfill(self, uids: tuple[str, ...]) -> Future[Unclaimable]:
        """Claim what instances have and never claimed."""
        return self._find().call(Fill(uids), timeout_s=None)

    def resize(self, spec: InstanceSpec) -> Future[Placed]:
        """Change a claim to what a spec now wants."""
        return self._find().call(Resize(spec), timeout_s=None)
