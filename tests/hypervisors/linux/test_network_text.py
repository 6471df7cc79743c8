"""Names, rules, addresses and routes: what is told to nft and ip, as text."""

from __future__ import annotations

import ipaddress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.driver import Wanted
from fifo.hypervisors.linux import addresses, firewall, interfaces, leases, network
from fifo.hypervisors.linux.firewall import Guard
from fifo.model.errors import InvalidInput
from fifo.model.instance import Claim, InstanceSpec, Nic, Shares
from fifo.model.network import AddressPool, Network
from fifo.model.routes import violations
from fifo.model.wires import wire_of

UID = "00000000-0000-4000-8000-000000000001"
NET = "00000000-0000-4000-a000-000000000001"
MAC, OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
TAGGED = "@ll,96,16 { 0x8100, 0x88a8 }"
PREFIXES = st.from_regex(r"[a-z][a-z0-9]{1,4}", fullmatch=True)


def wanted(*nics: Nic, routes: dict[str, str] | None = None, **network_: object) -> Wanted:
    """Describe an instance with these nics and one network."""
    four, six = "10.0.0", "fd00::"
    spec = InstanceSpec(
        uid=UID, id="i", org="default", generation=1, wanted="running", brand="lx", create_time=0.0,
        nics=nics, routes=routes or {},
    )  # fmt: skip
    found = Network(
        uid=NET, id="n", create_time=0.0, nic_tag="external",
        pools=(
            AddressPool(
                subnet=f"{four}.0/24", first=f"{four}.9", last=f"{four}.99", gateway=f"{four}.1"
            ),
            AddressPool(subnet=f"{six}/64", first=f"{six}9", last=f"{six}99", gateway=f"{six}1"),
        ),
        **network_,  # type: ignore[arg-type]
    )  # fmt: skip
    claim = Claim(uid=UID, host="h", shares=Shares(), addresses={MAC: ("10.0.0.9/24", "fd00::9")})
    return Wanted(spec, claim, (found,))


def sharing(shared: dict[str, str], *nics: Nic, routes: dict[str, str] | None = None) -> Wanted:
    """Describe an instance on a network with routes."""
    made = wanted(*nics, routes=routes)
    (net,) = made.networks
    return made._replace(networks=(msgspec.structs.replace(net, routes=shared),))


def nic(interface: str = "eth0", mac: str = MAC, **more: object) -> Nic:
    """Describe an interface."""
    return Nic(interface=interface, mac=mac, **{"network": NET, **more})  # type: ignore[arg-type]


# -- names -------------------------------------------------------------------------------------


@given(prefix=PREFIXES, uid=st.uuids().map(str), interface=st.sampled_from(["eth0", "net31"]))
def test_every_name_fits_into_an_interfaces_name_and_is_ours(
    prefix: str, uid: str, interface: str
) -> None:
    port = interfaces.port(prefix, uid, interface)
    bridge = interfaces.bridge(prefix, uid, 7)
    for name in (port, bridge):
        assert len(name) <= 15
        assert name.isascii()
        assert name.isalnum()
        assert interfaces.is_ours(prefix, name)
    assert interfaces.is_port(prefix, port)
    assert not interfaces.is_port(prefix, bridge)
    assert interfaces.port(prefix, uid, interface) == port


@pytest.mark.parametrize("name", ["eth0", "br0", "docker0", "ta", "tab", "taxlan", "tavlan0"])
def test_what_others_have_made_is_not_ours(name: str) -> None:
    assert not interfaces.is_ours("ta", name)


def test_ten_thousand_ports_have_ten_thousand_names() -> None:
    names = {interfaces.port("fifoa", str(number), "eth0") for number in range(10_000)}
    assert len(names) == 10_000


@given(name=st.text(min_size=1, max_size=15))
def test_a_bridges_address_is_local_and_for_one(name: str) -> None:
    first = int(interfaces.hardware_address(name).partition(":")[0], 16)
    assert first & 0b11 == 0b10


# -- rules -------------------------------------------------------------------------------------


def test_the_rules_of_a_port_in_full() -> None:
    guarded = Guard("tavx", MAC, ("10.0.0.9", "fd00::9"))
    local = "fe80::ff:fe00:1"
    bits = "0xfe80000000000000000000fffe000001, 0xfd000000000000000000000000000009"
    arp = "ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4"
    arp += " arp operation { request, reply }"
    assert list(firewall.rules(guarded)) == [
        f"{TAGGED} counter drop",
        f"ether saddr != {MAC} counter drop",
        "ether type ip udp sport 67 counter drop",
        "ether type ip6 udp sport 547 counter drop",
        f"{arp} arp saddr ether != {MAC} counter drop",
        f"{arp} arp saddr ip {{ 10.0.0.9 }} accept",
        f"{arp} arp saddr ip 0.0.0.0 arp daddr ip {{ 10.0.0.9 }} accept",
        "ip saddr { 10.0.0.9 } accept",
        "ether type ip6 frag nexthdr != { 6, 17, 50, 51, 132 } counter drop",
        "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } counter drop",
        f"ether type ip6 icmpv6 type nd-neighbor-advert @th,64,128 != {{ {bits} }} counter drop",
        f"ip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128 {{ {bits} }} accept",
        "ip6 saddr :: icmpv6 type { mld-listener-report, mld2-listener-report } accept",
        f"ip6 saddr {{ {local}, fd00::9 }} accept",
        "counter drop",
    ]


@given(
    flags=st.tuples(*[st.booleans()] * 6),
    own=st.lists(st.ip_addresses().map(str), max_size=4),
)
def test_whatever_is_allowed_the_last_word_is_said(flags: tuple[bool, ...], own: list[str]) -> None:
    guarded = Guard("tavx", MAC, tuple(own), *flags)
    rules = list(firewall.rules(guarded))
    assert rules[0] == f"{TAGGED} counter drop"
    assert rules[-1] == "counter drop"
    assert "counter accept" not in rules
    routers = "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } counter drop"
    if "ether type ip6 accept" in rules and not guarded.dhcp_spoofing:
        assert routers in rules
    assert ("ether type != { arp, ip, ip6 } accept" in rules) == guarded.restricted
    assert any(rule.startswith("ether saddr !=") for rule in rules) != guarded.mac_spoofing


def test_the_rules_of_a_port_that_may_use_any_address_in_full() -> None:
    guarded = Guard("tavx", MAC, ("10.0.0.9",), ip_spoofing=True)
    arp = "ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4"
    arp += " arp operation { request, reply }"
    assert list(firewall.rules(guarded)) == [
        f"{TAGGED} counter drop",
        f"ether saddr != {MAC} counter drop",
        "ether type ip udp sport 67 counter drop",
        "ether type ip6 udp sport 547 counter drop",
        f"{arp} arp saddr ether != {MAC} counter drop",
        f"{arp} accept",
        "ether type ip accept",
        "ether type ip6 frag nexthdr != { 6, 17, 50, 51, 132 } counter drop",
        "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } counter drop",
        "ether type ip6 accept",
        "counter drop",
    ]


def test_on_a_network_without_isolation_all_but_tags_may_be_sent() -> None:
    (found,) = addresses.attachments(wanted(nic(), isolated=False))
    assert list(firewall.rules(firewall.guard("tavx", found))) == [
        f"{TAGGED} counter drop",
        "ether type arp accept",
        "ether type ip accept",
        "ether type ip6 accept",
        "ether type != { arp, ip, ip6 } accept",
        "counter drop",
    ]


def test_an_instance_without_addresses_sends_nothing() -> None:
    rules = list(firewall.rules(Guard("tavx", MAC)))
    assert not [rule for rule in rules if rule.endswith("accept")]


BY_DHCP = Guard("tavx", MAC, dynamic_v4=True)


@pytest.mark.parametrize(
    ("guarded", "learns", "asks"),
    [
        (BY_DHCP, True, True),
        (BY_DHCP._replace(mac_spoofing=True), True, False),
        (BY_DHCP._replace(ip_spoofing=True), False, False),
    ],
)
def test_a_port_by_dhcp_may_use_what_it_is_given_and_no_more(
    guarded: Guard, *, learns: bool, asks: bool
) -> None:
    rules = list(firewall.rules(guarded))
    assert ("ether type ip accept" in rules) == guarded.ip_spoofing
    assert any("update @leased_tavx" in rule for rule in rules) == learns
    assert ("to_tavx" in firewall.apply("fifo_ta", [guarded])) == learns
    # It asks in its own name, whatever the frame says it comes from.
    assert any("@th,288,48 != 0x020000000001 counter drop" in rule for rule in rules) == asks


def test_text_that_applies_and_removes_names_the_same_things() -> None:
    applied = firewall.apply("fifo_ta", [Guard("tavx", MAC, ("10.0.0.9",))])
    removed = firewall.remove("fifo_ta", ["tavx"])
    assert applied.startswith(firewall.base("fifo_ta"))
    assert 'add element bridge fifo_ta ports { "tavx" : jump from_tavx }' in applied
    assert (
        'delete element bridge fifo_ta ports { "tavx" }\ndelete chain bridge fifo_ta from_tavx\n'
    ) in removed
    assert removed.endswith(leases.forget("fifo_ta", "tavx"))
    assert firewall.chains("\tchain from_tavx {\n\tchain prerouting {\n") == ("tavx",)


# -- addresses and routes ----------------------------------------------------------------------


def test_an_interface_gets_its_claimed_addresses_and_its_networks_gateways() -> None:
    (found,) = addresses.attachments(wanted(nic(primary=True), routes={"10.9.0.0/16": "10.0.0.7"}))
    assert list(network.inside_lines(found)) == [
        "addr add 10.0.0.9/24 dev eth0 brd +",
        "addr add fd00::9/64 dev eth0 nodad",
        "link set dev eth0 up",
        "route append default via 10.0.0.1 onlink dev eth0",
        "route append default via fd00::1 onlink dev eth0",
        "route append 10.9.0.0/16 via 10.0.0.7 onlink dev eth0",
    ]
    assert (found.nic_tag, found.mtu, found.isolated) == ("external", 1500, True)


def test_only_the_primary_interface_has_the_default_route() -> None:
    first, second = addresses.attachments(
        wanted(nic(), nic("eth1", OTHER_MAC, ips=("10.0.0.50/24",), primary=True))
    )
    assert first.routes == ()
    assert [route.gateway for route in second.routes] == ["10.0.0.1"]


@pytest.mark.parametrize(
    ("gateway", "line"),
    [
        ("nics[1]", "route append 10.9.0.0/16 dev eth1"),
        (f"macs[{OTHER_MAC}]", "route append 10.9.0.0/16 dev eth1"),
        ("10.5.0.1", "route append 10.9.0.0/16 via 10.5.0.1 onlink dev eth1"),
    ],
)
def test_a_route_leaves_through_the_interface_it_names(gateway: str, line: str) -> None:
    second = nic("eth1", OTHER_MAC, network="", nic_tag="admin", ips=("10.5.0.9/24",))
    _, found = addresses.attachments(wanted(nic(), second, routes={"10.9.0.0/16": gateway}))
    assert list(network.inside_lines(found))[-1] == line


def test_a_destination_has_one_route_and_the_instances_own_comes_first() -> None:
    shared = {"10.8.0.7": "10.0.0.7", "10.9.0.0/16": "10.0.0.7", "fd01::/32": "fe80::1"}
    own = {"10.9.0.0/16": "10.0.0.8", "0.0.0.0/0": "10.0.0.9"}
    second = nic("eth1", OTHER_MAC, ips=("10.0.0.50/24",), primary=True)
    first, second_ = addresses.attachments(sharing(shared, nic(), second, routes=own))
    assert first.routes == (("10.9.0.0/16", "10.0.0.8"), ("0.0.0.0/0", "10.0.0.9"))
    assert second_.routes == (("10.8.0.7/32", "10.0.0.7"), ("fd01::/32", "fe80::1"))


WORDS = st.text(max_size=20) | st.sampled_from(
    ("10.1.0.0/16", "10.1.0.0/16 dev lo", "fd01::/32", "10.0.0.1", "fe80::1", "fe80::1%lo")
)


@given(routes=st.dictionaries(WORDS, WORDS, max_size=3))
def test_what_routes_are_taken_of_a_network_are_words_of_their_own_to_ip(
    routes: dict[str, str],
) -> None:
    asked = sharing(routes, nic())
    if list(violations(asked.networks[0])):
        return
    (found,) = addresses.attachments(asked)
    lines = [line.split() for line in network.inside_lines(found) if line.startswith("route")]
    named = [words for words in lines if words[2] != "default"]
    assert [len(words) for words in named] == [8] * len(routes)


@pytest.mark.parametrize(
    "routes", [{"10.9.0.0/16": "nics[7]"}, {"10.9.0.0/16": "192.168.0.1"}, {"nowhere": "nics[0]"}]
)
def test_a_route_that_leads_nowhere_is_refused(routes: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="routes"):
        addresses.attachments(wanted(nic(), routes=routes))


def test_a_network_that_nobody_told_of_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"nics\[0\]\.network"):
        addresses.attachments(wanted(nic(network="00000000-0000-4000-a000-00000000000f")))


@given(text=st.text(max_size=20).filter(lambda text: not _is_interface(text)))
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        addresses.interface(text, None, "ips")


def _is_interface(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def test_an_interface_whose_address_is_claimed_of_a_bare_wire_is_attached_to_its_tag() -> None:
    made = wanted(nic(network="", nic_tag="external", vlan_id=9, ips=("10.9.0.5/24",)))
    wire = wire_of("external", 9)
    claim = Claim(
        uid=UID,
        host="h",
        shares=Shares(),
        addresses={MAC: ("10.9.0.5/24",)},
        networks={MAC: wire},
    )
    (found,) = addresses.attachments(Wanted(made.spec, claim, ()))
    assert (found.nic_tag, found.vlan_id, found.network) == ("external", 9, None)
    assert list(map(str, found.addresses)) == ["10.9.0.5/24"]
