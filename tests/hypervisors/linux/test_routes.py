"""The routes of a network in real zones: each is there once, however many interfaces lead to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tests.hypervisors.linux.zone_host import ZoneHost


async def test_a_zone_has_the_routes_of_its_network_once_and_its_own_instead(
    zones: ZoneHost,
) -> None:
    await zones.open()
    v4, v6 = (zones.address(family, 1, bare=True) for family in (0, 1))
    zones.network = msgspec.structs.replace(
        zones.network,
        routes={"10.200.0.0/16": v4, "10.201.0.7": v4, "10.202.0.0/16": v4, "fd99::/48": v6},
    )
    own = {"10.202.0.0/16": zones.address(0, 3, bare=True)}
    wanted = await zones.running(nics=2, routes=own, script="sleep 1000")
    code, said = await zones.execute(wanted, "ip", "route")
    assert code == 0
    told = [line.split() for line in said.splitlines()]
    via = {words[0]: words[2] for words in told if words[1] == "via"}
    assert via == {"default": v4, "10.200.0.0/16": v4, "10.201.0.7": v4, **own}
    code, said = await zones.execute(wanted, "ip", "-6", "route")
    assert code == 0
    assert sum(line.startswith(f"fd99::/48 via {v6} dev eth0") for line in said.splitlines()) == 1


async def test_a_zone_with_two_gateways_of_a_family_has_both(zones: ZoneHost) -> None:
    await zones.open()
    wanted = zones.wanted(script="sleep 1000")
    gateways = tuple(zones.address(family, at, bare=True) for family in (0, 1) for at in (1, 2))
    nics = tuple(msgspec.structs.replace(nic, gateways=gateways) for nic in wanted.spec.nics)
    wanted = wanted._replace(spec=msgspec.structs.replace(wanted.spec, nics=nics))
    await zones.driver.create(wanted)
    await zones.driver.start(wanted, 1)
    code, said = await zones.execute(wanted, "ip", "route")
    assert code == 0
    told = [line.split() for line in said.splitlines()]
    assert [words[2] for words in told if words[0] == "default"] == list(gateways[:2])
    code, said = await zones.execute(wanted, "ip", "-6", "route")
    assert code == 0
    # This ip(8) shows nothing of a route to several.
    assert any(line.startswith("default") for line in said.splitlines())
