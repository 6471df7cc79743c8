"""Claims as values: what an instance needs, and the records that give it that.

A ledger holds what placement knows of hosts, addresses and claims: the catalog's records, and on
top of them what its own transaction in flight is about to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.fleet.backfill import unclaimed
from fifo.fleet.ips import Ips
from fifo.fleet.macs import Macs
from fifo.fleet.plugs import bare_plug, nic_tags, plugs
from fifo.fleet.refusals import no_host, too_many
from fifo.fleet.shares import add, shares_of
from fifo.fleet.write_set import WriteSet
from fifo.model import address_pool, names
from fifo.model.errors import FifoError, NoRoom, NotFound
from fifo.model.hypervisor import Allocation
from fifo.model.instance import Claim
from fifo.model.operation import Explanation
from fifo.model.placement import Request, decide
from fifo.model.wires import own_macs, static, wire_of
from fifo.workflows.world import Placed

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from fifo.fleet.addresses import Addresses
    from fifo.fleet.plugs import Plug
    from fifo.model.instance import InstanceSpec, Nic, Shares
    from fifo.model.placement import Fleet
    from fifo.store.catalog import Catalog
    from fifo.workflows.world import Holding


class Ledger:
    """Claims of one transaction in the making; owned by the placement process.

    What it decides first is seen by what it decides then: hosts, addresses and claims alike. What
    `mark` and `back_to` of its write set take back is as if it had never been asked for.
    """

    def __init__(self, catalog: Catalog, fleet: Fleet, addresses: Addresses, now: float) -> None:
        self.catalog = catalog
        self.fleet = fleet
        self.addresses = addresses
        self.writes = WriteSet()
        self.ips = Ips(self.writes, catalog, addresses, now)
        self.macs = Macs(self.writes, catalog, now)
        self.charged: set[str] = set()
        """Hosts whose sums it has changed in the fleet's columns, by uid."""

    # -- claiming ----------------------------------------------------------------------------

    def place(self, spec: InstanceSpec, operation: str) -> Placed:
        """Claim a host and addresses for an instance, or say why not; an earlier claim stays."""
        held = self._claim(spec.uid)
        if held is not None:
            return Placed(held, Explanation(host=held.host))
        networks = plugs(self.catalog, spec)
        if isinstance(networks, FifoError):
            return Placed(None, Explanation(), networks)
        shares = shares_of(spec)
        decision = decide(self.fleet, self._request(spec, shares))
        if decision.row < 0:
            return Placed(None, decision.explanation, no_host(spec, decision.explanation))
        addresses = self._assign(spec, networks)
        if isinstance(addresses, FifoError):
            return Placed(None, decision.explanation, addresses)
        host = self.fleet.uids[decision.row]
        claim = Claim(
            uid=spec.uid,
            host=host,
            shares=shares,
            addresses=addresses,
            networks={mac: plug.uid for mac, plug in networks.items()},
            operation=operation,
        )
        self._charge(host, shares, 1, instances=1)
        self.writes.write(self.catalog.claims, spec.uid, claim)
        return Placed(claim, decision.explanation)

    def release(self, uid: str) -> None:
        """Give a claim back with its addresses."""
        claim = self._claim(uid)
        if claim is None:
            return
        self.writes.write(self.catalog.claims, uid, None)
        self._charge(claim.host, claim.shares, -1, instances=-1)
        self.macs.give_back(uid, claim.networks)
        for mac, texts in claim.addresses.items():
            for text in texts:
                self.ips.give_back(claim.networks.get(mac, ""), text)

    def adopt(self, claim: Claim) -> Placed:
        """Write a claim of what is on its host already; an earlier one stays.

        Room is not asked for: the instance takes it. Raises nothing: an address that others have,
        or a network that is not there, is in the answer.
        """
        why = Explanation(host=claim.host)
        held = self._claim(claim.uid)
        if held is not None:
            return Placed(held, why)
        wanted = [
            (claim.networks.get(mac, ""), text, mac)
            for mac, texts in claim.addresses.items()
            for text in texts
        ]
        for uid, text, _ in wanted:
            error = self.ips.refuse_strangers(uid, text, claim.uid)
            if error is not None:
                return Placed(None, why, error)
        mark = self.writes.mark()
        taken = self._adopt_macs(claim)
        if isinstance(taken, FifoError):
            return Placed(None, why, taken)
        used = {uid for uid, _, _ in wanted}
        many = too_many(names.instance_name(claim.uid), len(wanted) + taken, len(used))
        if many is not None:
            self.writes.back_to(mark)
            return Placed(None, why, many)
        for uid, text, mac in wanted:
            self.ips.take(uid, text, claim.uid, mac)
        self._charge(claim.host, claim.shares, 1, instances=1)
        self.writes.write(self.catalog.claims, claim.uid, claim)
        return Placed(claim, why)

    def _adopt_macs(self, claim: Claim) -> int | FifoError:
        """Take the hardware addresses that were chosen, where the spec is written already."""
        spec = self.catalog.specs.record(claim.uid)
        chosen = own_macs(spec) if spec is not None else ()
        own = {mac: claim.networks[mac] for mac in chosen if mac in claim.networks}
        return self.macs.take(claim.uid, own)

    def disown(self, uid: str, operation: str) -> None:
        """Give back a claim that an operation adopted, keeping its addresses for the stranger."""
        claim = self._claim(uid)
        if claim is None or claim.operation != operation:
            return
        held = [
            (claim.networks.get(mac, ""), text)
            for mac, texts in claim.addresses.items()
            for text in texts
        ]
        mine = [own for own in held if (found := self.ips.held(*own)) and found.uid == uid]
        macs = [mac for mac in claim.networks if self.macs.holder(mac) == uid]
        self.release(uid)
        for network, text in mine:
            self.ips.keep(network, text, uid)
        for mac in macs:
            self.macs.keep(mac, claim.networks[mac], uid)

    def keep(self, holding: Holding) -> None:
        """Keep from others what an interface of a stranger has, as far as no other has it."""
        spec = holding.spec
        networks = plugs(self.catalog, spec)
        if isinstance(networks, FifoError) or self.catalog.specs.get(spec.uid) is not None:
            return  # Its network is being changed: at the next greeting. Or it is none any more.
        for nic in spec.nics:
            plug = networks.get(nic.mac)
            if plug is not None:
                self._keep(nic, plug, spec.uid)
            if holding.mac:
                where = plug.uid if plug is not None else wire_of(nic.nic_tag, nic.vlan_id)
                self.macs.keep(nic.mac, where, spec.uid)

    def _keep(self, nic: Nic, plug: Plug, uid: str) -> None:
        for text in static(nic):
            if not any(self.addresses.is_taken(own, text) for own in (plug.uid, *plug.others)):
                self.ips.keep(plug.uid, text, uid)
                if plug.network is None:
                    self.ips.expect_no_network(nic)

    def resize(self, spec: InstanceSpec) -> Placed:
        """Change the shares and addresses of a claim, on its host."""
        claim = self._claim(spec.uid)
        if claim is None:
            return Placed(None, Explanation(), NotFound("it holds no claim", spec.uid))
        why = Explanation(host=claim.host)
        networks = plugs(self.catalog, spec)
        if isinstance(networks, FifoError):
            return Placed(None, why, networks)
        shares = shares_of(spec)
        more = add(shares, claim.shares, -1)
        row = self.fleet.row(claim.host)
        free = self.fleet.free[row]
        wanted = (more.cpu, more.memory, more.disk)
        if any(part > 0 and part > room for part, room in zip(wanted, free, strict=True)):
            name = names.instance_name(spec.id, spec.org)
            told = NoRoom("its host has not that much left", name, "ask for less, or free some")
            return Placed(None, why, told)
        addresses = self._exchange(spec, claim, networks)
        if isinstance(addresses, FifoError):
            return Placed(None, why, addresses)
        changed = msgspec.structs.replace(
            claim,
            shares=shares,
            addresses=addresses,
            networks={mac: plug.uid for mac, plug in networks.items()},
        )
        if changed != claim:
            self._charge(claim.host, more, 1)
            self.writes.write(self.catalog.claims, claim.uid, changed)
        return Placed(changed, why)

    def backfill(self, uid: str) -> tuple[FifoError, ...]:
        """Claim what an instance has and never claimed, and give why what is another's is not.

        Of a bare wire even where a network has the addresses by now: it is not plugged into that
        before it is changed. An interface's addresses are claimed together.
        """
        claim, spec = self._claim(uid), self.catalog.specs.record(uid)
        if claim is None or spec is None or uid in self.catalog.busy:
            return ()
        wrong = []
        for nic in unclaimed(self.catalog, spec, claim):
            mark = self.writes.mark()
            filled = self._fill(nic, spec, claim)
            if isinstance(filled, FifoError):
                self.writes.back_to(mark)
                wrong.append(filled)
            elif filled != claim:
                self.writes.write(self.catalog.claims, uid, filled)
                claim = filled
        return tuple(wrong)

    def _fill(self, nic: Nic, spec: InstanceSpec, claim: Claim) -> Claim | FifoError:
        """Take what one interface has; gives the claim with it."""
        chosen = own_macs(spec)
        if nic.mac not in claim.networks:
            plug = bare_plug(self.catalog, nic, chosen=nic.mac in chosen)
            texts = self._choose(nic, plug, set())
            if isinstance(texts, FifoError):
                return texts
            for text in texts:
                self.ips.take(plug.uid, text, spec.uid, nic.mac)
            claim = msgspec.structs.replace(
                claim,
                addresses={**claim.addresses, nic.mac: texts},
                networks={**claim.networks, nic.mac: plug.uid},
            )
        own = {nic.mac: claim.networks[nic.mac]} if nic.mac in chosen else {}
        taken = self.macs.take(spec.uid, own)
        if isinstance(taken, FifoError):
            return taken
        count = sum(map(len, claim.addresses.values())) + len(chosen)
        used = {*claim.networks.values()}
        return too_many(names.instance_name(spec.id, spec.org), count, len(used)) or claim

    # -- its parts ---------------------------------------------------------------------------

    def _claim(self, uid: str) -> Claim | None:
        return self.writes.read(self.catalog.claims, uid)

    def _request(self, spec: InstanceSpec, shares: Shares) -> Request:
        package = self.catalog.packages.record(spec.package) if spec.package else None
        labels = tuple(sorted(package.required_labels.items())) if package is not None else ()
        tags = tuple(sorted(nic_tags(self.catalog, spec)))
        return Request(shares, spec.brand, tags, labels, spec.wanted_host)

    def _exchange(
        self, spec: InstanceSpec, claim: Claim, networks: dict[str, Plug]
    ) -> dict[str, tuple[str, ...]] | FifoError:
        """Take what the interfaces want that a claim has not, and give back what they do not."""
        kept = {
            nic.mac: claim.addresses[nic.mac]
            for nic in spec.nics
            if (plug := networks.get(nic.mac)) and plug.keeps(nic, claim)
        }
        added = {mac: plug for mac, plug in networks.items() if mac not in kept}
        lost = {
            (claim.networks.get(mac, ""), address_pool.bare(text))
            for mac in claim.addresses.keys() - kept.keys()
            for text in claim.addresses[mac]
        }
        mark = self.writes.mark()
        addresses = self._assign(spec, added, lost)
        if isinstance(addresses, FifoError):
            return addresses
        # All that it has then is once given back together.
        count = sum(map(len, (kept | addresses).values()))
        count += sum(plug.chosen for plug in networks.values())
        used = {plug.uid for plug in networks.values()}
        many = too_many(names.instance_name(spec.id, spec.org), count, len(used))
        if many is not None and addresses:
            self.writes.back_to(mark)
            return many
        again = {
            (added[mac].uid, address_pool.bare(text))
            for mac, texts in addresses.items()
            for text in texts
        }
        for network, text in lost - again:
            self.ips.give_back(network, text)
        gone = claim.networks.keys() - {nic.mac for nic in spec.nics}
        self.macs.give_back(spec.uid, gone)
        return kept | addresses

    def _assign(
        self,
        spec: InstanceSpec,
        networks: dict[str, Plug],
        lost: AbstractSet[tuple[str, str]] = frozenset(),
    ) -> dict[str, tuple[str, ...]] | FifoError:
        """Take an address of each family for each interface; nothing is taken if one fails.

        `lost` is what the same change gives back, by network and address: it may be taken again.
        """
        chosen: dict[str, tuple[str, ...]] = {}
        mine = set(lost)
        mark = self.writes.mark()
        for nic in spec.nics:
            plug = networks.get(nic.mac)
            if plug is None:
                continue
            texts = self._choose(nic, plug, mine)
            if isinstance(texts, FifoError):
                self.writes.back_to(mark)
                return texts
            chosen[nic.mac] = texts
            for text in texts:
                mine.discard((plug.uid, address_pool.bare(text)))
                self.ips.take(plug.uid, text, spec.uid, nic.mac)
            if plug.network is None and texts:
                self.ips.expect_no_network(nic)
        of_macs = {mac: plug.uid for mac, plug in networks.items() if plug.chosen}
        taken = self.macs.take(spec.uid, of_macs)
        if isinstance(taken, FifoError):
            self.writes.back_to(mark)
            return taken
        used = {networks[mac].uid for mac, texts in chosen.items() if texts}
        count = len(lost) + sum(map(len, chosen.values())) + taken
        many = too_many(names.instance_name(spec.id, spec.org), count, len(used))
        if many is not None:
            self.writes.back_to(mark)
            return many
        return chosen

    def _choose(
        self, nic: Nic, plug: Plug, mine: set[tuple[str, str]]
    ) -> tuple[str, ...] | FifoError:
        """Choose what the caller wants, else the next free address of each of the pools."""
        wanted = static(nic)
        for text in wanted:
            for own in (plug.uid, *plug.others):
                if self.addresses.is_taken(own, text) and (
                    (own, address_pool.bare(text)) not in mine
                ):
                    return self.ips.refuse_taken(own, text)
        if wanted or plug.network is None:
            return wanted
        texts = []
        for pool in plug.network.pools:
            free = self.addresses.next_free(plug.network, pool)
            if free is None:
                return NoRoom(
                    f"no address of {pool.first} to {pool.last} is free",
                    f"networks/{plug.network.id}",
                    "widen the pool, or delete what holds them",
                )
            self.writes.note(self.addresses.go_back, free)
            texts.append(free.text)
        return tuple(texts)

    def _charge(self, host: str, shares: Shares, sign: int, instances: int = 0) -> None:
        allocations = self.catalog.allocations
        before = self.writes.read(allocations, host) or Allocation(host=host)
        after = Allocation(
            host=host,
            used=add(before.used, shares, sign),
            instances=before.instances + instances,
        )
        self.writes.write(allocations, host, after)
        self.fleet.use(host, after.used)
        self.writes.note(self.fleet.use, host, before.used)
        self.charged.add(host)
