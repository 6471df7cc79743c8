"""Placement: which host an instance goes to, as a pure function over columns of the fleet.

A request meets one mask for each rule; a host that no mask refuses is a candidate, and of these the
one with the largest free share of memory wins, then the one with most free processors, then the
first. The explanation counts the same masks: there is no second implementation of the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from fifo.model.instance import Shares
from fifo.model.operation import Explanation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from fifo.model.hypervisor import HypervisorSpec, HypervisorStatus

    Mask = npt.NDArray[np.bool_]
    Column = npt.NDArray[np.int64]

CPU_OVERCOMMIT: Final = 4
"""Processors promised for each that is there: caps are seldom all reached at once (Triton: 4)."""
NEXT_BEST: Final = 3
"""Further candidates that are kept with the decision."""
SORTED_HERE: Final = 64
"""Candidates up to which Python sorts them: numpy's sorts give the interpreter's lock away, and to
win it back takes longer than that."""
_FIRST_HOSTS: Final = 16
_BITS: Final = 63
"""Different brands and nic tags that fit a column of bits."""

CPU, MEMORY, DISK = 0, 1, 2


class Request(NamedTuple):
    """What an instance needs of a host; `host` is the uid of one it insists on."""

    shares: Shares
    brand: str
    nic_tags: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    host: str = ""


class Decision(NamedTuple):
    """The row of the chosen host, -1 for none, and why."""

    row: int
    explanation: Explanation


class Words:
    """Bits for words: which bit stands for which brand or tag. Grows as hosts have new words."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}

    def mask(self, words: Iterable[str]) -> int:
        """Give the bits of a host's words; all words beyond the bound share the last bit."""
        found = 0
        for word in words:
            bit = self._bits.setdefault(word, min(len(self._bits), _BITS - 1))
            found |= 1 << bit
        return found

    def bit(self, word: str) -> int | None:
        """Give the bit of a word that is its alone; None if it shares one, or no host has it."""
        bit = self._bits.get(word, _BITS - 1)
        return bit if bit < _BITS - 1 else None


class Fleet:
    """The columns: one row a host, changed by whoever owns them (the placement process)."""

    def __init__(self) -> None:
        self.uids: list[str] = []
        self.rows: dict[str, int] = {}
        self.words = Words()
        self.labels: list[Mapping[str, str]] = []
        self.has: list[frozenset[str]] = []
        """The words of each host as they are, for those that have no bit of their own."""
        self.capacity: Column = np.zeros((_FIRST_HOSTS, 3), np.int64)
        self.used: Column = np.zeros((_FIRST_HOSTS, 3), np.int64)
        self.free: Column = np.zeros((_FIRST_HOSTS, 3), np.int64)
        """What `capacity` has above `used`."""
        self.taken = np.zeros((_FIRST_HOSTS, 2), np.float64)
        """The parts of memory and processors that are not free, negative: the least is the best."""
        self.ready: Mask = np.zeros(_FIRST_HOSTS, np.bool_)
        self.open: Mask = np.zeros(_FIRST_HOSTS, np.bool_)
        self.can: Column = np.zeros(_FIRST_HOSTS, np.int64)

    def __len__(self) -> int:
        return len(self.uids)

    def row(self, uid: str) -> int:
        """Give the row of a host, a new one if it has none; rows are never taken away."""
        row = self.rows.get(uid)
        if row is None:
            row = self.rows[uid] = len(self.uids)
            self.uids.append(uid)
            self.labels.append({})
            self.has.append(frozenset())
            if row >= len(self.ready):
                self._grow()
        return row

    def _grow(self) -> None:
        more = len(self.ready)
        self.capacity = np.concatenate((self.capacity, np.zeros((more, 3), np.int64)))
        self.used = np.concatenate((self.used, np.zeros((more, 3), np.int64)))
        self.free = np.concatenate((self.free, np.zeros((more, 3), np.int64)))
        self.taken = np.concatenate((self.taken, np.zeros((more, 2), np.float64)))
        self.ready = np.concatenate((self.ready, np.zeros(more, np.bool_)))
        self.open = np.concatenate((self.open, np.zeros(more, np.bool_)))
        self.can = np.concatenate((self.can, np.zeros(more, np.int64)))

    def describe(self, spec: HypervisorSpec | None, status: HypervisorStatus | None) -> None:
        """Take over what operators want of a host and what is known of it; None: it is gone."""
        known = spec or status
        assert known is not None
        row = self.row(known.uid)
        probe = status.probe if status is not None else None
        self.ready[row] = status is not None and status.condition == "ready" and probe is not None
        self.open[row] = spec is not None and spec.admission == "open"
        if spec is not None:
            self.labels[row] = spec.labels
        if probe is not None:
            reserved = spec.reserved if spec is not None else Shares()
            self.capacity[row] = (
                probe.capacity.cpu * CPU_OVERCOMMIT - reserved.cpu,
                probe.capacity.memory - reserved.memory,
                probe.capacity.disk - reserved.disk,
            )
            self._weigh(row)
            words = (*probe.brands, *map(tag_word, probe.nic_tags))
            self.has[row] = frozenset(words)
            self.can[row] = self.words.mask(words)

    def use(self, uid: str, shares: Shares) -> None:
        """Take over the sum of a host's claims."""
        row = self.row(uid)
        self.used[row] = (shares.cpu, shares.memory, shares.disk)
        self._weigh(row)

    def _weigh(self, row: int) -> None:
        """Work out what follows from a host's capacity and use, once for many decisions."""
        capacity = self.capacity[row].tolist()
        free = [most - used for most, used in zip(capacity, self.used[row].tolist(), strict=True)]
        self.free[row] = free
        self.taken[row] = [-free[part] / max(1, capacity[part]) for part in (MEMORY, CPU)]


def decide(fleet: Fleet, request: Request) -> Decision:
    """Choose a host for a request."""
    count = len(fleet)
    if not count:
        return Decision(-1, Explanation())
    counts: dict[str, int] = {}
    rows = None
    if not _suits_all(fleet, request):
        rows, counts = _left(fleet, request)
        if not len(rows):
            return Decision(-1, Explanation(considered=count, refused=counts))
    best = _ranked(fleet, rows)
    explanation = Explanation(
        host=fleet.uids[best[0]],
        considered=count,
        refused=counts,
        next_best=tuple(fleet.uids[row] for row in best[1 : 1 + NEXT_BEST]),
    )
    return Decision(best[0], explanation)


def _suits_all(fleet: Fleet, request: Request) -> bool:
    """Tell in a few operations that no rule refuses any host; False may also mean: look closely."""
    count, shares = len(fleet), request.shares
    if request.host or request.labels:
        return False
    bits = [fleet.words.bit(word) for word in (request.brand, *map(tag_word, request.nic_tags))]
    if None in bits:
        return False
    wanted = sum({1 << bit for bit in bits if bit is not None})
    least = fleet.free[:count].min(axis=0).tolist()
    return (
        shares.cpu <= least[CPU]
        and shares.memory <= least[MEMORY]
        and shares.disk <= least[DISK]
        and bool((fleet.ready[:count] & fleet.open[:count]).all())
        and bool((fleet.can[:count] & wanted == wanted).all())
    )


def _left(fleet: Fleet, request: Request) -> tuple[npt.NDArray[np.intp], dict[str, int]]:
    """Give the rows that no rule refuses, and how many hosts each rule does."""
    refused = np.zeros(len(fleet), np.bool_)
    counts: dict[str, int] = {}
    for rule, mask in refusals(fleet, request):
        turned_away = int(np.count_nonzero(mask))
        if turned_away:
            counts[rule] = turned_away
            refused |= mask
    return np.flatnonzero(~refused), counts


def tag_word(tag: str) -> str:
    """Give the word that a nic tag is among what hosts have."""
    return f"tag:{tag}"


def refusals(fleet: Fleet, request: Request) -> list[tuple[str, Mask]]:
    """Give for each rule the hosts that it refuses; a rule that this request does not meet: none.

    The order is the one in which people read the reasons.
    """
    count = len(fleet)
    free = fleet.free[:count]
    masks = [
        ("not ready", ~fleet.ready[:count]),
        ("cordoned", ~fleet.open[:count]),
        ("brand", _without(fleet, (request.brand,))),
        ("memory", free[:, MEMORY] < request.shares.memory),
        ("cpu", free[:, CPU] < request.shares.cpu),
        ("disk", free[:, DISK] < request.shares.disk),
    ]
    if request.nic_tags:
        tags = tuple(map(tag_word, request.nic_tags))
        masks.append(("network", _without(fleet, tags)))
    if request.host:
        other = np.ones(count, np.bool_)
        if (row := fleet.rows.get(request.host)) is not None:
            other[row] = False
        masks.append(("another host was asked for", other))
    for key, value in request.labels:
        without = np.fromiter((own.get(key) != value for own in fleet.labels), np.bool_, count)
        masks.append((f"label {key}", without))
    return masks


def _without(fleet: Fleet, words: tuple[str, ...]) -> Mask:
    """Give the hosts that lack one of some words."""
    count = len(fleet)
    lacking = np.zeros(count, np.bool_)
    for word in words:
        bit = fleet.words.bit(word)
        if bit is not None:
            lacking |= (fleet.can[:count] & (1 << bit)) == 0
        else:
            lacking |= np.fromiter((word not in own for own in fleet.has), np.bool_, count)
    return lacking


def _ranked(fleet: Fleet, rows: npt.NDArray[np.intp] | None) -> list[int]:
    """Order candidates, all for None, best first; only as many as are told of."""
    taken = fleet.taken[: len(fleet)] if rows is None else fleet.taken[rows]
    if len(taken) <= SORTED_HERE:
        numbers = range(len(taken)) if rows is None else rows.tolist()
        found = sorted((*parts, row) for parts, row in zip(taken.tolist(), numbers, strict=True))
        return [row for *_, row in found[: 1 + NEXT_BEST]]
    # Rows ascend, and the sort is stable.
    order = np.lexsort((taken[:, 1], taken[:, 0]))[: 1 + NEXT_BEST]
    best: list[int] = (order if rows is None else rows[order]).tolist()
    return best
