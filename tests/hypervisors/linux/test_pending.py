"""What an update leaves for the next start: until then the host has what runs, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.hypervisors.linux import runner
from tests.hypervisors.linux.test_adoption import Ear

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Wanted
    from fifo.hypervisors.linux.leftovers import Leftovers
    from fifo.model.instance import Nic
    from tests.hypervisors.linux.zone_host import ZoneHost


def with_nics(wanted: Wanted, *nics: Nic) -> Wanted:
    """Give what is wanted with other interfaces."""
    return wanted._replace(spec=msgspec.structs.replace(wanted.spec, nics=nics))


async def reopened(zones: ZoneHost) -> None:
    """Have the node start anew."""
    await zones.close()
    await zones.open()


def network_of(zones: ZoneHost, left: Leftovers) -> tuple[int, int]:
    """Count interfaces and ports with rules: the table itself is not one of them."""
    return len(left.links), len(set(left.rules) - {zones.settings.table})


async def ended(zones: ZoneHost, wanted: Wanted) -> None:
    """Stop it, and wait until what it had of the host is taken back."""
    assert await zones.driver.stop(wanted.spec.uid, 0.0) is not None
    assert network_of(zones, await zones.leftovers()) == (0, 0)


async def test_an_interface_that_is_to_go_stays_until_the_zone_ends(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(nics=2)
    less = with_nics(wanted, wanted.spec.nics[0])
    assert await zones.driver.update(less) == ((), ("nics",))
    await reopened(zones)
    assert network_of(zones, await zones.leftovers()) == (3, 2)
    (stats,) = await zones.driver.stats()
    assert {nic.interface for nic in stats.nics} == {"eth0", "eth1"}
    await ended(zones, less)
    await zones.driver.start(less, 2)
    assert network_of(zones, await zones.leftovers()) == (2, 1)
    left = await zones.remove_all()
    assert left.none, left


async def test_an_interface_that_is_to_go_leaves_no_rules_when_the_zone_ends(
    zones: ZoneHost,
) -> None:
    await zones.open()
    wanted = await zones.running(nics=2)
    await zones.driver.update(with_nics(wanted, wanted.spec.nics[0]))
    await ended(zones, wanted)


async def test_an_interface_that_is_to_come_is_there_after_the_next_start_alone(
    zones: ZoneHost,
) -> None:
    await zones.open()
    wanted = await zones.running(nics=2)
    less = with_nics(wanted, wanted.spec.nics[0])
    await ended(zones, wanted)
    await zones.driver.update(less)
    await zones.driver.start(less, 2)
    assert await zones.driver.update(wanted) == ((), ("nics",))
    await reopened(zones)
    assert network_of(zones, await zones.leftovers()) == (2, 1)
    await ended(zones, wanted)
    await zones.driver.start(wanted, 3)
    assert network_of(zones, await zones.leftovers()) == (3, 2)


async def test_a_network_that_is_to_be_another_stays_until_the_zone_ends(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running()
    (nic,) = wanted.spec.nics
    other = msgspec.structs.replace(
        zones.network, uid=f"{zones.network.uid[:-1]}2", vlan_id=7, pools=()
    )
    moved = with_nics(wanted, msgspec.structs.replace(nic, network=other.uid, ips=("dhcp",)))
    moved = moved._replace(
        networks=(other,), claim=msgspec.structs.replace(wanted.claim, addresses={})
    )
    await zones.driver.update(moved)
    await reopened(zones)
    await ended(zones, moved)
    await zones.driver.start(moved, 2)
    assert network_of(zones, await zones.leftovers()) == (2, 1)


async def rules(zones: ZoneHost) -> str:
    """List every rule."""
    argv = ["nft", "list", "table", "bridge", zones.settings.table]
    return (await runner.run(argv, deadline_s=5.0)).stdout.decode()


async def test_a_leave_that_changes_holds_a_running_zone_to_the_addresses_it_has(
    zones: ZoneHost,
) -> None:
    await zones.open()
    wanted = await zones.running()
    (nic,) = wanted.spec.nics
    own, later = zones.address(0, 10, bare=True), zones.address(0, 77)
    elsewhere = wanted._replace(
        claim=msgspec.structs.replace(wanted.claim, addresses={nic.mac: (later,)})
    )
    readdressed = msgspec.structs.replace(nic, ips=(later,))
    await zones.driver.update(with_nics(elsewhere, readdressed))
    may = msgspec.structs.replace(readdressed, allow_dhcp_spoofing=True)
    assert await zones.driver.update(with_nics(elsewhere, may)) == ((), ("nics",))
    assert own in await rules(zones)
    assert later.partition("/")[0] not in await rules(zones)
    # Files of the running zone tell what it has, too.
    told = await zones.execute(wanted, "cat", "/etc/hosts")
    assert own in told[1]


async def test_a_leave_that_was_taken_stays_taken_when_another_node_starts(
    zones: ZoneHost,
) -> None:
    await zones.open()
    wanted = zones.wanted()
    (nic,) = wanted.spec.nics
    loose = with_nics(wanted, msgspec.structs.replace(nic, allow_mac_spoofing=True))
    await zones.driver.create(loose)
    await zones.driver.start(loose, 1)
    own_frames_alone = f"ether saddr != {nic.mac}"
    await reopened(zones)
    assert own_frames_alone not in await rules(zones)
    assert await zones.driver.update(wanted) == (("nics",), ())
    # Another change that waits: what the zone may send is not to be read of its spec any more.
    await zones.driver.update(with_nics(wanted, msgspec.structs.replace(nic, mtu=1400)))
    await reopened(zones)
    assert own_frames_alone in await rules(zones)


async def test_a_change_that_is_taken_back_waits_for_nothing(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(nics=2)
    await zones.driver.update(with_nics(wanted, wanted.spec.nics[0]))
    assert await zones.driver.update(wanted) == (("nics",), ())


async def test_a_zone_that_ended_unseen_leaves_no_rules_of_what_was_to_go(zones: ZoneHost) -> None:
    await zones.open()
    wanted = await zones.running(nics=2)
    await zones.driver.update(with_nics(wanted, wanted.spec.nics[0]))
    await zones.close()
    await zones.open()
    ear = Ear(zones)
    await zones.execute(wanted, "exit-with", "0")
    await ear.until(lambda _: wanted.spec.uid in ear.ends())
    await zones.driver.start(wanted, 2)
    left = await zones.remove_all()
    assert left.none, left


@pytest.mark.parametrize("ips", [None, ("dhcp",)])
async def test_a_running_zone_without_resolvers_has_its_images_file_and_new_ones_wait(
    zones: ZoneHost, ips: tuple[str, ...] | None
) -> None:
    await zones.open()
    wanted = zones.wanted()
    silent = tuple(msgspec.structs.replace(each, resolvers=()) for each in wanted.networks)
    wanted = wanted._replace(networks=silent)
    if ips is not None:
        (nic,) = wanted.spec.nics
        wanted = with_nics(wanted, msgspec.structs.replace(nic, ips=ips))
    await zones.driver.create(wanted)
    await zones.driver.start(wanted, 1)
    show = ("cat", "/etc/resolv.conf")
    assert await zones.execute(wanted, *show) == (0, "")
    spec = msgspec.structs.replace(wanted.spec, resolvers=("10.0.0.1",))
    given = wanted._replace(spec=spec)
    assert await zones.driver.update(given) == ((), ("resolvers",))
    said = (0, "nameserver 10.0.0.1\n")
    assert await zones.execute(wanted, *show) == (0, "")
    await zones.driver.stop(spec.uid, 0.0)
    await zones.driver.start(given, 2)
    assert await zones.execute(wanted, *show) == said
