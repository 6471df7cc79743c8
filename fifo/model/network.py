"""A network: where instances get their addresses from, and how they reach each other."""

from __future__ import annotations

from fifo.model.records import Record, Value


class AddressPool(Value, frozen=True):
    """Addresses that are given out: `first` to `last` of `subnet`, IPv4 or IPv6, in text form."""

    subnet: str
    first: str
    last: str
    gateway: str = ""


class Network(Record, frozen=True, tag="network/1"):
    """A network on the hosts that carry its nic tag; up to one pool of each address family."""

    uid: str
    id: str
    create_time: float
    generation: int = 1
    alias: str = ""
    description: str = ""
    nic_tag: str = "external"
    vlan_id: int = 0
    mtu: int = 1500
    pools: tuple[AddressPool, ...] = ()
    resolvers: tuple[str, ...] = ()
    routes: dict[str, str] = {}
    isolated: bool = True
    """Hosts drop what an instance sends from a MAC or an address that is not its own."""
    tags: dict[str, str] = {}
    closed: bool = False
    """No address is given out of it: it is being deleted, or its pools are being cut."""


class AddressClaim(Record, frozen=True, tag="address_claim/1"):
    """One address that is taken: by an instance's interface, or reserved (no uid)."""

    network: str
    address: str
    uid: str = ""
    mac: str = ""
    since: float = 0.0
    note: str = ""
    stranger: str = ""
    """The instance it is kept for, by uid: a host has that one, and the store does not know it."""
