"""Claims as values: what an instance needs, and the records that give it that.

A ledger holds what placement knows of hosts, addresses and claims: the catalog's records, and on
top of them what its own transaction in flight is about to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from fifo.fleet.strangers import kept_for
from fifo.fleet.write_set import WriteSet
from fifo.model import address_pool, keys, names
from fifo.model import limits as model_limits
from fifo.model.errors import (
    Conflict,
    FifoError,
    InvalidInput,
    NoRoom,
    NotFound,
    Violation,
    WrongState,
)
from fifo.model.hypervisor import Allocation
from fifo.model.instance import Claim, Shares
from fifo.model.network import AddressClaim
from fifo.model.operation import Explanation
from fifo.model.placement import Request, decide
from fifo.model.vmadm.texts import DYNAMIC
from fifo.workflows.world import Placed

if TYPE_CHECKING:
    from fifo.fleet.addresses import Addresses
    from fifo.model.instance import InstanceSpec, Nic
    from fifo.model.network import Network
    from fifo.model.placement import Fleet
    from fifo.store.catalog import Catalog


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
        self.charged: set[str] = set()
        """Hosts whose sums it has changed in the fleet's columns, by uid."""

    # -- claiming ----------------------------------------------------------------------------

    def place(self, spec: InstanceSpec, operation: str) -> Placed:
        """Claim a host and addresses for an instance, or say why not; an earlier claim stays."""
        held = self._claim(spec.uid)
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
        self.writes.write(self.catalog.claims, spec.uid, claim)
        return Placed(claim, decision.explanation)

    def release(self, uid: str) -> None:
        """Give a claim back with its addresses."""
        claim = self._claim(uid)
        if claim is None:
            return
        self.writes.write(self.catalog.claims, uid, None)
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
        used = {uid for uid, _, _ in wanted}
        if (many := too_many(names.instance_name(claim.uid), len(wanted), len(used))) is not None:
            return Placed(None, why, many)
        for uid, text, mac in wanted:
            self._take(uid, text, claim.uid, mac)
        self._charge(claim.host, claim.shares, 1, instances=1)
        self.writes.write(self.catalog.claims, claim.uid, claim)
        return Placed(claim, why)

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
        found = self.catalog.networks.record(network)
        if found is None:
            told = "its network is not in the store"
            remedy = f"create the network with the uid {network}, or remove the instance"
            return WrongState(told, names.instance_name(uid), remedy, reason="NO_NETWORK")
        if found.closed:
            told = "the network is being changed, and gives no address now"
            return Conflict(told, f"networks/{found.id}", "try again in a moment")
        held = self._address(network, text)
        if held is not None and held.stranger == uid:
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
        claim = self._claim(spec.uid)
        if claim is None:
            return Placed(None, Explanation(), NotFound("it holds no claim", spec.uid))
        why = Explanation(host=claim.host)
        networks = self._networks(spec)
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
        kept = {mac: texts for mac, texts in claim.addresses.items() if mac in networks}
        added = {mac: network for mac, network in networks.items() if mac not in kept}
        lost = [
            (claim.networks.get(mac, ""), text)
            for mac in claim.addresses.keys() - kept.keys()
            for text in claim.addresses[mac]
        ]
        mark = self.writes.mark()
        addresses = self._assign(spec, added, len(lost))
        if isinstance(addresses, FifoError):
            return Placed(None, why, addresses)
        # All that it has then is once given back together.
        count = sum(map(len, (kept | addresses).values()))
        used = {network.uid for network in networks.values()}
        many = too_many(names.instance_name(spec.id, spec.org), count, len(used))
        if many is not None and addresses:
            self.writes.back_to(mark)
            return Placed(None, why, many)
        for network, text in lost:
            self._give_back(network, text)
        changed = msgspec.structs.replace(
            claim,
            shares=shares,
            addresses=kept | addresses,
            networks={mac: network.uid for mac, network in networks.items()},
        )
        if changed != claim:
            self._charge(claim.host, more, 1)
            self.writes.write(self.catalog.claims, claim.uid, changed)
        return Placed(changed, why)

    # -- its parts ---------------------------------------------------------------------------

    def _claim(self, uid: str) -> Claim | None:
        return self.writes.read(self.catalog.claims, uid)

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
        self, spec: InstanceSpec, networks: dict[str, Network], lost: int = 0
    ) -> dict[str, tuple[str, ...]] | FifoError:
        """Take an address of each family for each interface; nothing is taken if one fails.

        `lost` is how many addresses the same change gives back.
        """
        chosen: dict[str, tuple[str, ...]] = {}
        mark = self.writes.mark()
        for nic in spec.nics:
            network = networks.get(nic.mac)
            if network is None:
                continue
            texts = self._choose(nic, network)
            if isinstance(texts, FifoError):
                self.writes.back_to(mark)
                return texts
            chosen[nic.mac] = texts
            for text in texts:
                self._take(network.uid, text, spec.uid, nic.mac)
        used = {networks[mac].uid for mac, texts in chosen.items() if texts}
        count = lost + sum(map(len, chosen.values()))
        many = too_many(names.instance_name(spec.id, spec.org), count, len(used))
        if many is not None:
            self.writes.back_to(mark)
            return many
        return chosen

    def _choose(self, nic: Nic, network: Network) -> tuple[str, ...] | FifoError:
        """Choose what the caller wants, else the next free address of each of the pools."""
        wanted = tuple(ip for ip in nic.ips if ip not in DYNAMIC)
        for text in wanted:
            if self.addresses.is_taken(network.uid, text):
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
            self.writes.note(self.addresses.go_back, free)
            texts.append(free.text)
        return tuple(texts)

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
        # Who deletes a network closes it first: what was decided before that is lost to it.
        held = self.catalog.networks.get(network)
        assert held is not None
        self.writes.expect(held)

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


def too_many(name: str, addresses: int, networks: int) -> InvalidInput | None:
    """Refuse addresses that with their networks do not fit one transaction; None if they do."""
    most = model_limits.PLACED_KEYS - networks
    if addresses <= most:
        return None
    wanted = f"at most {most} addresses at one time of {networks} networks, not {addresses}"
    return InvalidInput(name, (Violation("nics", wanted),))


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
