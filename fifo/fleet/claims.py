"""Claims as values: what an instance needs, and the records that give it that.

A ledger holds what placement knows of hosts, addresses and claims: the catalog's records, and on
top of them what its own transaction in flight is about to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.fleet.macs import Macs
from fifo.fleet.plugs import Plug, plugs
from fifo.fleet.refusals import holder, no_host, too_many
from fifo.fleet.shares import add, shares_of
from fifo.fleet.strangers import kept_for
from fifo.fleet.write_set import WriteSet
from fifo.model import address_pool, keys, names
from fifo.model.errors import Conflict, FifoError, NoRoom, NotFound, WrongState
from fifo.model.hypervisor import Allocation
from fifo.model.instance import Claim
from fifo.model.network import AddressClaim
from fifo.model.operation import Explanation
from fifo.model.placement import Request, decide
from fifo.model.wires import is_wire, own_macs, static, wire_of
from fifo.workflows.world import Placed

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from fifo.fleet.addresses import Addresses
    from fifo.model.instance import InstanceSpec, Nic, Shares
    from fifo.model.placement import Fleet
    from fifo.store.catalog import Catalog


class Ledger:
    """Claims of one transaction in the making; owned by the placement process.

    What it decides first is seen by what it decides then: hosts, addresses and claims alike. What
    `mark` and `back_to` of its write set take back is as if it had never been asked for.
    """

    def __init__(self, catalog: Catalog, fleet: Fleet, addresses: Addresses, now: float) -> None:
        self.catalog = catalog
        self.fleet = fleet
        self.addresses = addresses
        self.now = now
        self.writes = WriteSet()
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
        decision = decide(self.fleet, self._request(spec, shares, networks))
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
                self._give_back(claim.networks.get(mac, ""), text)

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
            error = self._refuses(uid, text, claim.uid)
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
            self._take(uid, text, claim.uid, mac)
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
        mine = [own for own in held if (found := self._address(*own)) and found.uid == uid]
        self.release(uid)
        for network, text in mine:
            kept = msgspec.structs.replace(
                kept_for(uid, self.now), network=network, address=address_pool.bare(text)
            )
            self._write_address(network, text, kept)

    def _refuses(self, network: str, text: str, uid: str) -> FifoError | None:
        """Say why an address cannot be a stranger's own; None if it can."""
        if is_wire(network):
            return self._refuses_taken(network, "its wire", text, uid)
        found = self.catalog.networks.record(network)
        if found is None:
            told = "its network is not in the store"
            remedy = f"create the network with the uid {network}, or remove the instance"
            return WrongState(told, names.instance_name(uid), remedy, reason="NO_NETWORK")
        if found.closed:
            told = "the network is being changed, and gives no address now"
            return Conflict(told, f"networks/{found.id}", "try again in a moment")
        return self._refuses_taken(network, f"networks/{found.id}", text, uid) or (
            self._refuses_taken(wire_of(found.nic_tag, found.vlan_id), "its wire", text, uid)
        )

    def _refuses_taken(self, network: str, where: str, text: str, uid: str) -> FifoError | None:
        held = self._address(network, text)
        if held is not None and held.stranger == uid:
            return None
        if not self.addresses.is_taken(network, text):
            return None
        return WrongState(
            f"its address {text} of {where} was given to another meanwhile",
            names.instance_name(uid),
            "see who has it: fifo network addresses; free it, or remove this one",
            reason="ADDRESS_TAKEN",
        )

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

    # -- its parts ---------------------------------------------------------------------------

    def _claim(self, uid: str) -> Claim | None:
        return self.writes.read(self.catalog.claims, uid)

    def _request(self, spec: InstanceSpec, shares: Shares, networks: dict[str, Plug]) -> Request:
        package = self.catalog.packages.record(spec.package) if spec.package else None
        labels = tuple(sorted(package.required_labels.items())) if package is not None else ()
        found = (plug.network for plug in networks.values())
        tags = tuple(sorted({network.nic_tag for network in found if network is not None}))
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
            self._give_back(network, text)
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
                self._take(plug.uid, text, spec.uid, nic.mac)
            if plug.network is None and texts:
                self._expect_no_network(nic)
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
                    return self._taken(own, text)
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

    def _taken(self, network: str, text: str) -> FifoError:
        held = self._address(network, text)
        who = (
            f": {holder(self.catalog, held.uid or held.stranger)} has it"
            if held is not None
            else ""
        )
        return NoRoom(f"the address is taken{who}", text, "choose another, or none")

    # -- addresses and sums ------------------------------------------------------------------

    def _address(self, network: str, text: str) -> AddressClaim | None:
        return self.writes.read(self.catalog.addresses, _path(network, text))

    def _write_address(self, network: str, text: str, claim: AddressClaim) -> None:
        path = _path(network, text)
        self.writes.write(self.catalog.addresses, path, claim)
        if not self.addresses.has_path(path):
            self.addresses.take_path(path)
            self.writes.note(self.addresses.free_path, path)

    def _take(self, network: str, text: str, uid: str, mac: str) -> None:
        bare = address_pool.bare(text)
        claim = AddressClaim(network=network, address=bare, uid=uid, mac=mac, since=self.now)
        self._write_address(network, text, claim)
        if is_wire(network):
            return
        # Who deletes a network closes it first: what was decided before that is lost to it.
        held = self.catalog.networks.get(network)
        assert held is not None
        self.writes.expect(held)

    def _expect_no_network(self, nic: Nic) -> None:
        """Have the claim lost to who makes the first network of its wire meanwhile."""
        guard = keys.wire_guard(nic.nic_tag, nic.vlan_id)
        if guard not in self.catalog.ids:
            self.writes.expect_absent(guard)

    def _give_back(self, network: str, text: str) -> None:
        """Give an address back; one that is stored is free when the transaction has taken."""
        path = _path(network, text)
        if self.writes.read(self.catalog.addresses, path) is None:
            return
        self.writes.write(self.catalog.addresses, path, None)
        if self.catalog.addresses.get(path) is None:
            # Of this transaction: nobody will tell that it is free again.
            self.addresses.free_path(path)
            self.writes.note(self.addresses.take_path, path)

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


def _path(network: str, text: str) -> str:
    """Give where an address stands in its table."""
    return keys.address(network, address_pool.bare(text))[len(keys.ADDRESS) :].decode()
