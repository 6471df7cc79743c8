"""Claims as values: what an instance needs, and the records that give it that.

A ledger holds what placement knows of hosts and addresses: the catalog's records, and on top of
them what its own transaction in flight is about to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from fifo.fleet.strangers import kept_for
from fifo.model import address_pool, keys, names, records
from fifo.model.errors import Conflict, FifoError, NoRoom, NotFound, WrongState
from fifo.model.hypervisor import Allocation
from fifo.model.instance import Claim, Shares
from fifo.model.network import AddressClaim
from fifo.model.operation import Explanation
from fifo.model.placement import Fleet, Request, decide
from fifo.store.contract import Compare, Delete, Put, absent, unchanged
from fifo.workflows.world import Placed

if TYPE_CHECKING:
    from fifo.fleet.addresses import Addresses
    from fifo.model.instance import InstanceSpec, Nic
    from fifo.model.network import Network
    from fifo.store.catalog import Catalog, Entry


def shares_of(spec: InstanceSpec) -> Shares:
    """Give the parts of a host that an instance takes (vmadm: cpu_cap, memory, quota or disks)."""
    disk = sum(own.size for own in spec.disks) // 1024 if spec.is_vm else spec.quota
    cpu = spec.cpu_cap or (spec.vcpus * 100 if spec.is_vm else 0)
    return Shares(cpu=cpu, memory=spec.max_physical_memory, disk=disk)


def add(one: Shares, other: Shares, sign: int = 1) -> Shares:
    """Add shares, or take them away."""
    return Shares(
        cpu=one.cpu + sign * other.cpu,
        memory=one.memory + sign * other.memory,
        disk=one.disk + sign * other.disk,
    )


class Ledger:
    """One transaction of claims in the making; owned by the placement process."""

    def __init__(self, catalog: Catalog, fleet: Fleet, addresses: Addresses, now: float) -> None:
        self.catalog = catalog
        self.fleet = fleet
        self.addresses = addresses
        self.now = now
        self.compares: dict[bytes, Compare] = {}
        self.writes: dict[bytes, Put | Delete] = {}
        self.allocations: dict[str, Allocation] = {}

    def size(self) -> int:
        """Give the number of operations or compares so far, the larger, with the hosts' sums."""
        return max(len(self.writes) + len(self.allocations), len(self.compares))

    # -- claiming ----------------------------------------------------------------------------

    def place(self, spec: InstanceSpec, operation: str) -> Placed:
        """Claim a host and addresses for an instance, or say why not; an earlier claim stays."""
        held = self.catalog.claims.record(spec.uid)
        if held is not None:
            return Placed(held, Explanation(host=held.host))
        networks = self._networks(spec)
        if isinstance(networks, FifoError):
            return Placed(None, Explanation(), networks)
        shares = shares_of(spec)
        decision = decide(self.fleet, self._request(spec, shares, networks))
        if decision.row < 0:
            return Placed(None, decision.explanation, _no_host(spec, decision.explanation))
        addresses = self._assign(spec, networks)
        if isinstance(addresses, FifoError):
            return Placed(None, decision.explanation, addresses)
        host = self.fleet.uids[decision.row]
        claim = Claim(
            uid=spec.uid,
            host=host,
            shares=shares,
            addresses=addresses,
            networks={mac: network.uid for mac, network in networks.items()},
            operation=operation,
        )
        self._charge(host, shares, 1, instances=1)
        key = keys.by_uid(keys.CLAIM, spec.uid)
        self.compares[key] = absent(key)
        self.writes[key] = Put(key, records.encode(claim))
        return Placed(claim, decision.explanation)

    def release(self, uid: str) -> None:
        """Give a claim back with its addresses."""
        entry = self.catalog.claims.get(uid)
        if entry is None or entry.key in self.writes:
            return
        claim = entry.record
        self.compares[entry.key] = unchanged(entry.key, entry.revision)
        self.writes[entry.key] = Delete(entry.key)
        self._charge(claim.host, claim.shares, -1, instances=-1)
        for mac, texts in claim.addresses.items():
            for text in texts:
                self._give_back(claim.networks.get(mac, ""), text)

    def adopt(self, claim: Claim) -> Placed:
        """Write a claim of what is on its host already; an earlier one stays.

        Room is not asked for: the instance takes it. Raises nothing: an address that others have,
        or a network that is not there, is in the answer.
        """
        why = Explanation(host=claim.host)
        held = self.catalog.claims.record(claim.uid)
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
        for uid, text, mac in wanted:
            network = self.catalog.networks.record(uid)
            assert network is not None
            kept = self._address(uid, text)
            self._take(network, text, claim.uid, mac)
            if kept is not None:
                self.compares[kept.key] = unchanged(kept.key, kept.revision)
        self._charge(claim.host, claim.shares, 1, instances=1)
        key = keys.by_uid(keys.CLAIM, claim.uid)
        self.compares[key] = absent(key)
        self.writes[key] = Put(key, records.encode(claim))
        return Placed(claim, why)

    def disown(self, uid: str, operation: str) -> None:
        """Give back a claim that an operation adopted, keeping its addresses for the stranger."""
        claim = self.catalog.claims.record(uid)
        if claim is None or claim.operation != operation:
            return
        self.release(uid)
        for mac, texts in claim.addresses.items():
            network = claim.networks.get(mac, "")
            for text in texts:
                own = self._address(network, text)
                if own is not None and own.record.uid == uid:
                    kept = kept_for(uid, self.now)
                    kept = msgspec.structs.replace(
                        kept, network=network, address=own.record.address
                    )
                    self.writes[own.key] = Put(own.key, records.encode(kept))

    def _address(self, network: str, text: str) -> Entry[AddressClaim] | None:
        key = keys.address(network, address_pool.bare(text))
        return self.catalog.addresses.get(key[len(keys.ADDRESS) :].decode())

    def _refuses(self, network: str, text: str, uid: str) -> FifoError | None:
        """Say why an address cannot be a stranger's own; None if it can."""
        found = self.catalog.networks.record(network)
        if found is None:
            told = "its network is not in the store"
            remedy = f"create the network with the uid {network}, or remove the instance"
            return WrongState(told, names.instance_name(uid), remedy, reason="NO_NETWORK")
        if found.closed:
            told = "the network is being changed, and gives no address now"
            return Conflict(told, f"networks/{found.id}", "try again in a moment")
        entry = self._address(network, text)
        if entry is not None and entry.record.stranger == uid:
            return None
        if not self.addresses.is_taken(network, text):
            return None
        return WrongState(
            f"its address {text} of networks/{found.id} was given to another meanwhile",
            names.instance_name(uid),
            "see who has it: fifo network addresses; free it, or remove this one",
            reason="ADDRESS_TAKEN",
        )

    def resize(self, spec: InstanceSpec) -> Placed:
        """Change the shares and addresses of a claim, on its host."""
        entry = self.catalog.claims.get(spec.uid)
        if entry is None:
            return Placed(None, Explanation(), NotFound("it holds no claim", spec.uid))
        claim = entry.record
        networks = self._networks(spec)
        if isinstance(networks, FifoError):
            return Placed(None, Explanation(host=claim.host), networks)
        kept = {mac: texts for mac, texts in claim.addresses.items() if mac in networks}
        added = {mac: network for mac, network in networks.items() if mac not in kept}
        addresses = self._assign(spec, added)
        if isinstance(addresses, FifoError):
            return Placed(None, Explanation(host=claim.host), addresses)
        shares = shares_of(spec)
        more = add(shares, claim.shares, -1)
        row = self.fleet.row(claim.host)
        free = self.fleet.free[row]
        wanted = (more.cpu, more.memory, more.disk)
        if any(part > 0 and part > room for part, room in zip(wanted, free, strict=True)):
            name = names.instance_name(spec.id, spec.org)
            told = NoRoom("its host has not that much left", name, "ask for less, or free some")
            return Placed(None, Explanation(host=claim.host), told)
        for mac in claim.addresses.keys() - kept.keys():
            for text in claim.addresses[mac]:
                self._give_back(claim.networks.get(mac, ""), text)
        changed = msgspec.structs.replace(
            claim,
            shares=shares,
            addresses=kept | addresses,
            networks={mac: network.uid for mac, network in networks.items()},
        )
        if changed != claim:
            self._charge(claim.host, more, 1)
            self.compares[entry.key] = unchanged(entry.key, entry.revision)
            self.writes[entry.key] = Put(entry.key, records.encode(changed))
        return Placed(changed, Explanation(host=claim.host))

    # -- its parts ---------------------------------------------------------------------------

    def _request(self, spec: InstanceSpec, shares: Shares, networks: dict[str, Network]) -> Request:
        package = self.catalog.packages.record(spec.package) if spec.package else None
        labels = tuple(sorted(package.required_labels.items())) if package is not None else ()
        tags = tuple(sorted({network.nic_tag for network in networks.values()}))
        return Request(shares, spec.brand, tags, labels, spec.wanted_host)

    def _networks(self, spec: InstanceSpec) -> dict[str, Network] | FifoError:
        found = {}
        for nic in spec.nics:
            if not nic.network:
                continue
            network = self.catalog.networks.record(nic.network)
            if network is None:
                return NotFound("the network does not exist", f"networks/{nic.network}")
            if network.closed:
                told = "the network is being changed, and gives no address now"
                return Conflict(told, f"networks/{network.id}", "try again in a moment")
            found[nic.mac] = network
        return found

    def _assign(
        self, spec: InstanceSpec, networks: dict[str, Network]
    ) -> dict[str, tuple[str, ...]] | FifoError:
        """Take an address of each family for each interface; nothing is taken if one fails."""
        chosen: dict[str, tuple[str, ...]] = {}
        taken: list[tuple[Network, str, str]] = []
        for nic in spec.nics:
            network = networks.get(nic.mac)
            if network is None:
                continue
            texts = self._choose(nic, network, [text for _, text, _ in taken])
            if isinstance(texts, FifoError):
                return texts
            chosen[nic.mac] = texts
            taken += [(network, text, nic.mac) for text in texts]
        for network, text, mac in taken:
            self._take(network, text, spec.uid, mac)
        return chosen

    def _choose(self, nic: Nic, network: Network, mine: list[str]) -> tuple[str, ...] | FifoError:
        """Take what the caller wants, else the next free address of each of the pools."""
        wanted = tuple(ip for ip in nic.ips if ip not in {"dhcp", "addrconf"})
        for text in wanted:
            if self.addresses.is_taken(network.uid, text) or text in mine:
                return NoRoom("the address is taken", text, "choose another, or none")
        if wanted:
            return wanted
        texts = []
        for pool in network.pools:
            free = self.addresses.next_free(network.uid, pool)
            if free is None:
                return NoRoom(
                    f"no address of {pool.first} to {pool.last} is free",
                    f"networks/{network.id}",
                    "widen the pool, or delete what holds them",
                )
            texts.append(free)
        return tuple(texts)

    def _take(self, network: Network, text: str, uid: str, mac: str) -> None:
        bare = address_pool.bare(text)
        key = keys.address(network.uid, bare)
        claim = AddressClaim(network=network.uid, address=bare, uid=uid, mac=mac, since=self.now)
        self.compares[key] = absent(key)
        self.writes[key] = Put(key, records.encode(claim))
        # Who deletes a network closes it first: what was decided before that is lost to it.
        held = self.catalog.networks.get(network.uid)
        assert held is not None
        self.compares[held.key] = unchanged(held.key, held.revision)
        self.addresses.take(network.uid, text)

    def _give_back(self, network: str, text: str) -> None:
        """Give an address back; it is free for others when the transaction has taken."""
        entry = self._address(network, text)
        if entry is not None and entry.key not in self.writes:
            self.compares[entry.key] = unchanged(entry.key, entry.revision)
            self.writes[entry.key] = Delete(entry.key)

    def _charge(self, host: str, shares: Shares, sign: int, instances: int = 0) -> None:
        key = keys.by_uid(keys.ALLOCATION, host)
        entry = self.catalog.allocations.get(host)
        before = self.allocations.get(host) or (
            entry.record if entry is not None else Allocation(host=host)
        )
        self.compares[key] = unchanged(key, entry.revision if entry is not None else 0)
        after = Allocation(
            host=host,
            used=add(before.used, shares, sign),
            instances=before.instances + instances,
        )
        self.allocations[host] = after
        self.fleet.use(host, after.used)

    def all_writes(self) -> tuple[Put | Delete, ...]:
        """Give what is to be written, each host's sum once."""
        sums = (
            Put(keys.by_uid(keys.ALLOCATION, host), records.encode(allocation))
            for host, allocation in self.allocations.items()
        )
        return (*self.writes.values(), *sums)


_REMEDIES: Final = {
    "not ready": "see why a host is not: fifo hypervisor list",
    "cordoned": "open one again: fifo hypervisor uncordon",
    "brand": "see what stands in the way of a brand, under CANNOT: fifo -o wide hypervisor list",
    "network": "have a host carry the network's nic tag: the setting nic_tags",
    "another host was asked for": "ask for no host, or for another",
}
"""What to do about a rule that refused hosts; of the others something is used up."""


def _remedy(why: Explanation) -> str:
    """Say what to do about the rule by which most hosts were refused."""
    if not why.considered:
        return "add a host"
    worst = max(why.refused, key=lambda rule: why.refused[rule], default="")
    if worst.startswith("label "):
        return "label a host so, or take another package: fifo hypervisor label"
    return _REMEDIES.get(worst, "make it smaller, delete others, or add a host")


def _no_host(spec: InstanceSpec, why: Explanation) -> NoRoom:
    reasons = ", ".join(f"{rule} {count}" for rule, count in why.refused.items())
    return NoRoom(
        f"none of {why.considered} hosts takes it ({reasons or 'there is none'})",
        names.instance_name(spec.id, spec.org),
        _remedy(why),
        reason="NO_HOST",
        details={f"refused_{rule.replace(' ', '_')}": str(n) for rule, n in why.refused.items()},
    )
