"""Bridges: one for each nic tag's VLAN, there as long as it has ports.

An operator's own bridge is used as it is. Ours has a hardware address of its own, no spanning tree,
and floods multicast, so that neighbour discovery needs no querier; the host has no address on it
but those of a gateway, not even a link-local one.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fifo.hypervisors.linux import interfaces
from fifo.hypervisors.linux.commands import succeed
from fifo.model.errors import FifoError, NotReady, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.linux.addresses import Attachment
    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.settings import Settings
    from fifo.model.network import Network

LINKS: Final = Path("/sys/class/net")
NATURE: Final = "stp_state 0 forward_delay 0 mcast_snooping 0"


def exists(link: str) -> bool:
    """Tell whether the host has an interface of that name, in the node's own namespace."""
    return (LINKS / link).exists()


def links() -> list[str]:
    """Name every interface of the host."""
    return sorted(path.name for path in LINKS.iterdir())


class Bridges:
    """The bridges in use and by which ports. Used on the node's loop alone.

    Who holds a port of a bridge has it kept: `hold` before the port is made, `release` after it is
    gone, so that no bridge is removed under one that is just being attached.
    """

    def __init__(self, run: Run, settings: Settings) -> None:
        self._run = run
        self._settings = settings
        self._ports: dict[str, set[str]] = defaultdict(set)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # The host's own addresses that were given to each bridge.
        self._addresses: dict[str, set[str]] = defaultdict(set)

    def name(self, attachment: Attachment) -> str:
        """Give the bridge for an interface; raises Unsupported for a tag that is not here."""
        tag = self._settings.nic_tags.get(attachment.nic_tag)
        if tag is None:
            known = ", ".join(sorted(self._settings.nic_tags)) or "none"
            raise Unsupported(
                f"this host has no nic tag {attachment.nic_tag!r} (it has: {known})",
                attachment.nic.mac,
                "add the tag to the host's settings, or use another network",
            )
        if not tag.bridge:
            return interfaces.bridge(self._settings.prefix, attachment.nic_tag, attachment.vlan_id)
        if attachment.vlan_id:
            raise Unsupported(
                f"VLAN {attachment.vlan_id} on the operator's bridge {tag.bridge}",
                attachment.nic.mac,
                "give this VLAN a nic tag with a bridge of its own",
            )
        return tag.bridge

    async def hold(self, port: str, attachment: Attachment) -> str:
        """Have the bridge for a port and give its name; raises NotReady, DriverFailed."""
        name = self.name(attachment)
        self._ports[name].add(port)
        if self._settings.nic_tags[attachment.nic_tag].bridge:
            if not exists(name):
                raise NotReady("there is no such bridge", name, "make it, or change the settings")
            return name
        async with self._locks[name]:
            await self._prepare(name, attachment)
        return name

    def held(self, port: str, attachment: Attachment) -> None:
        """Count a port that is there already, after a restart of the node.

        A tag that was taken out of the settings since then has no bridge to be kept.
        """
        if attachment.nic_tag in self._settings.nic_tags:
            self._ports[self.name(attachment)].add(port)

    async def release(self, port: str) -> None:
        """Give a port up; the last one's bridge goes with it, if it is ours."""
        for name, ports in list(self._ports.items()):
            if port not in ports:
                continue
            ports.discard(port)
            try:
                await self.remove_idle(name)
            except FifoError:
                # Whoever asks again has to come by here once more.
                ports.add(port)
                raise

    async def remove_idle(self, name: str) -> None:
        """Remove a bridge of ours that has no port, and that nobody holds."""
        async with self._locks[name]:
            if not self._ports[name] and self._is_idle(name):
                self._addresses.pop(name, None)
                await succeed(self._run, ["ip", "link", "delete", name], subject=name)

    def _is_idle(self, name: str) -> bool:
        ours = interfaces.is_ours(self._settings.prefix, name)
        ports = LINKS / name / "brif"
        return ours and ports.exists() and not any(ports.iterdir())

    async def _prepare(self, name: str, attachment: Attachment) -> None:
        """Make a bridge unless it is there, and give it the addresses of this network's gateways.

        Several networks may share a VLAN, and so a bridge.
        """
        lines = []
        if not exists(name):
            self._addresses.pop(name, None)
            mac = interfaces.hardware_address(name)
            lines = [
                f"link add name {name} address {mac} mtu {attachment.mtu} type bridge {NATURE}",
                f"link set {name} addrgenmode none up",
            ]
        missing = sorted(set(self._host_addresses(attachment)) - self._addresses[name])
        # Nobody else has it: a gateway is not given out.
        lines += [f"addr replace {each} dev {name} nodad" for each in missing if ":" in each]
        lines += [f"addr replace {each} dev {name}" for each in missing if ":" not in each]
        if lines:
            text = "".join(f"{line}\n" for line in lines).encode()
            await succeed(self._run, ["ip", "-batch", "-"], subject=name, stdin=text)
            self._addresses[name].update(missing)

    def _host_addresses(self, attachment: Attachment) -> Iterator[str]:
        network: Network | None = attachment.network
        if network is None or not self._settings.nic_tags[attachment.nic_tag].gateway:
            return
        for pool in network.pools:
            if pool.gateway:
                length = ipaddress.ip_network(pool.subnet).prefixlen
                yield f"{pool.gateway}/{length}"
