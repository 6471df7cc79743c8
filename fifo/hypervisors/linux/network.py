"""The interfaces of instances: ports of bridges, each under its rules.

A zone's is a pair whose other end is in the zone. That end goes with its network namespace, and the
port with it; what stays behind of a zone that ended are the rules of its ports, until `detach`. A
VM's is a tap, which stays until then too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fifo.hypervisors.linux import firewall, interfaces, limits
from fifo.hypervisors.linux.bridges import exists, links
from fifo.hypervisors.linux.commands import succeed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fifo.hypervisors.linux.addresses import Attachment
    from fifo.hypervisors.linux.bridges import Bridges
    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.settings import Settings
    from fifo.model.instance import Nic


class Networking:
    """Attaches instances to bridges and detaches them. Used on the node's loop alone."""

    def __init__(self, run: Run, settings: Settings, bridges: Bridges) -> None:
        self._run = run
        self._settings = settings
        self._bridges = bridges
        # Ports that have rules: what else is asked to be detached costs no process.
        self._guarded: set[str] = set()

    def check(self, attachment: Attachment) -> None:
        """Refuse a network that this host does not have; raises Unsupported."""
        self._bridges.name(attachment)

    def ports(self, uid: str, nics: Iterable[Nic]) -> tuple[str, ...]:
        """Name the ports of an instance."""
        return tuple(interfaces.port(self._settings.prefix, uid, nic.interface) for nic in nics)

    def _ports(self, uid: str, attachments: Iterable[Attachment]) -> tuple[str, ...]:
        return self.ports(uid, (each.nic for each in attachments))

    async def guard(self, uid: str, attachments: tuple[Attachment, ...]) -> None:
        """Put the ports under their rules, whether they are there yet or not."""
        if not attachments:
            return
        ports = self._ports(uid, attachments)
        guards = [firewall.guard(*each) for each in zip(ports, attachments, strict=True)]
        self._guarded.update(ports)
        await self._nft(firewall.apply(self._settings.table, guards), uid)

    async def renew(self, running: Mapping[str, tuple[Attachment, ...]]) -> None:
        """Put the ports of what runs, by uid, under the rules of today: an older node made theirs.

        Called once, at the start, before ends are heard of. Each port's are replaced in one
        transaction, so that it is never without any.
        """
        guards = [
            firewall.guard(*each)
            for uid, attachments in running.items()
            for each in zip(self._ports(uid, attachments), attachments, strict=True)
        ]
        for begin in range(0, len(guards), limits.PORTS_AT_ONCE):
            part = guards[begin : begin + limits.PORTS_AT_ONCE]
            self._guarded.update(each.port for each in part)
            await self._nft(firewall.apply(self._settings.table, part), "rules of what runs")

    async def hold(self, uid: str, attachments: tuple[Attachment, ...]) -> tuple[str, ...]:
        """Have the bridges for the ports and give their names."""
        ports = self._ports(uid, attachments)
        holding = (self._bridges.hold(*each) for each in zip(ports, attachments, strict=True))
        return tuple(await asyncio.gather(*holding))

    def held(self, uid: str, attachments: tuple[Attachment, ...]) -> None:
        """Count the ports of an instance that runs already."""
        for port, attachment in zip(self._ports(uid, attachments), attachments, strict=True):
            self._bridges.held(port, attachment)
            self._guarded.add(port)

    async def attach(
        self, uid: str, pid: int, attachments: tuple[Attachment, ...], bridges: tuple[str, ...]
    ) -> None:
        """Connect a namespace to its bridges, by a process in it; raises DriverFailed."""
        if not attachments:
            return
        ports = self._ports(uid, attachments)
        await self._unplug(ports)
        outside = [
            line
            for port, bridge, each in zip(ports, bridges, attachments, strict=True)
            for line in outside_lines(port, bridge, pid, each)
        ]
        await self._ip(outside, uid)
        inside = [line for each in attachments for line in inside_lines(each)]
        await self._ip(inside, uid, netns=f"/proc/{pid}/ns/net")

    async def tap(
        self, uid: str, attachments: tuple[Attachment, ...], bridges: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Make a VM's taps on their bridges and give their names; raises DriverFailed.

        They stay until they are detached: their QEMU's end does not take them away.
        """
        if not attachments:
            return ()
        ports = self._ports(uid, attachments)
        await self._unplug(ports)
        made = zip(ports, bridges, attachments, strict=True)
        await self._ip([line for each in made for line in tap_lines(*each)], uid)
        return ports

    async def detach(self, uid: str, ports: tuple[str, ...]) -> None:
        """Remove an instance's ports and their rules; what is not there is removed already."""
        await self._unplug(ports)
        if guarded := tuple(port for port in ports if port in self._guarded):
            await self._nft(firewall.remove(self._settings.table, guarded), uid)
            self._guarded.difference_update(guarded)
        for port in ports:
            await self._bridges.release(port)

    async def sweep(self, kept: frozenset[str]) -> None:
        """Remove ports, rules and bridges of ours but for some ports; called once, at the start."""
        own = [name for name in links() if interfaces.is_ours(self._settings.prefix, name)]
        ports = [name for name in own if interfaces.is_port(self._settings.prefix, name)]
        await self._unplug(tuple(name for name in ports if name not in kept))
        if stale := set(await self.guarded()) - kept:
            await self._nft(firewall.remove(self._settings.table, sorted(stale)), "stale rules")
        for name in own:
            await self._bridges.remove_idle(name)

    async def guarded(self) -> tuple[str, ...]:
        """List the ports that the host has rules for."""
        argv = ["nft", "list", "table", "bridge", self._settings.table]
        listed = await self._run(argv, deadline_s=limits.COMMAND_S)
        return firewall.chains(listed.stdout.decode(errors="replace"))

    async def _unplug(self, ports: tuple[str, ...]) -> None:
        there = [f"link delete {port}" for port in ports if exists(port)]
        if there:
            # The kernel removes a port by itself soon after its namespace; -force goes on then.
            await self._run(
                ["ip", "-force", "-batch", "-"], stdin=_lines(there), deadline_s=limits.COMMAND_S
            )

    async def clear(self) -> None:
        """Remove the table of rules; called when there is no instance any more."""
        self._guarded.clear()
        await self._nft(firewall.clear(self._settings.table), self._settings.table)

    async def _nft(self, text: str, subject: str) -> None:
        await succeed(self._run, ["nft", "-f", "-"], stdin=text.encode(), subject=subject)

    async def _ip(self, lines: list[str], subject: str, netns: str | None = None) -> None:
        await succeed(
            self._run, ["ip", "-batch", "-"], stdin=_lines(lines), subject=subject, netns=netns
        )


def outside_lines(port: str, bridge: str, pid: int, attachment: Attachment) -> Iterator[str]:
    """Yield the lines for ip(8) that make a pair and attach the host's end of it."""
    nic = attachment.nic
    yield (
        f"link add name {port} mtu {attachment.mtu} type veth peer name {nic.interface}"
        f" address {nic.mac} mtu {attachment.mtu} netns {pid}"
    )
    # The host itself has no business on a port: no link-local address, so that it never speaks.
    yield f"link set dev {port} addrgenmode none master {bridge} up"


def tap_lines(port: str, bridge: str, attachment: Attachment) -> Iterator[str]:
    """Yield the lines for ip(8) that make the tap of a VM's interface on a bridge."""
    yield f"tuntap add dev {port} mode tap"
    yield f"link set dev {port} mtu {attachment.mtu} addrgenmode none master {bridge} up"


def inside_lines(attachment: Attachment) -> Iterator[str]:
    """Yield the lines for ip(8) that give the zone's end its addresses and routes."""
    interface = attachment.nic.interface
    for address in attachment.addresses:
        # Nobody else has it, by claim: no wait until neighbours had time to object.
        extra = "nodad" if address.version == 6 else "brd +"  # noqa: PLR2004 -- IPv6
        yield f"addr add {address} dev {interface} {extra}"
    yield f"link set dev {interface} up"
    for route in attachment.routes:
        # A gateway outside the interface's own subnets, as some providers have it, is on the link.
        via = f"via {route.gateway} onlink " if route.gateway else ""
        # Of several default gateways the first is asked, and the next when it is gone.
        yield f"route append {route.destination} {via}dev {interface}"


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
