"""Frames, right and forged, and sockets in another network namespace to send and see them by."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import struct
import threading

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
VLAN, SERVICE_VLAN = 0x8100, 0x88A8
ALL_FRAMES = 3
NEW_NETWORK = 0x40000000
PACKET, AUXILIARY = 263, 8
TAG_VALID, TAG_KIND_VALID = 0x10, 0x40
"""What packet(7) says beside a frame: the tag is not in it any more."""
UDP, ICMPV6, FRAGMENT, DESTINATION_OPTIONS = 17, 58, 44, 60
SOLICIT, ADVERTISE, ROUTER_ADVERT, REDIRECT = 135, 136, 134, 137
BROADCAST = "ff:ff:ff:ff:ff:ff"


def raw_socket(pid: int, interface: str) -> socket.socket:
    """Open a socket for raw frames on an interface of a process's network namespace."""
    made: list[socket.socket] = []

    def enter() -> None:
        descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(descriptor)
        found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
        found.setsockopt(PACKET, AUXILIARY, 1)
        found.bind((interface, ALL_FRAMES))
        found.settimeout(5.0)
        made.append(found)

    # A thread of its own: the namespace it entered ends with it, the socket stays in there.
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return made[0]


def receive(line: socket.socket) -> bytes:
    """Give the next frame as it was on the wire: the kernel has taken its outer tag off."""
    data, beside, _, _ = line.recvmsg(2048, 64)
    for _, kind, value in beside:
        if kind == AUXILIARY:
            status, *_, tag, ethertype = struct.unpack("=IIIHHHH", value)
            if status & TAG_VALID:
                return tagged(data, ethertype if status & TAG_KIND_VALID else VLAN, tag)
    return data


def tagged(sent: bytes, ethertype: int, vlan: int) -> bytes:
    """Put a tag into a frame (IEEE 802.1Q)."""
    return sent[:12] + struct.pack(">HH", ethertype, vlan) + sent[12:]


def untagged(sent: bytes) -> bytes:
    """Give a frame without any of its tags."""
    while int.from_bytes(sent[12:14]) in {VLAN, SERVICE_VLAN}:
        sent = sent[:12] + sent[16:]
    return sent


def frame(source: str, target: str, kind: int, payload: bytes) -> bytes:
    """Make an Ethernet frame."""
    return octets(target) + octets(source) + struct.pack(">H", kind) + payload


def octets(mac: str) -> bytes:
    """Give the bytes of a hardware address."""
    return bytes.fromhex(mac.replace(":", ""))


def arp(operation: int, sender_mac: str, sender: str, target: str) -> bytes:
    """Make an ARP message (RFC 826)."""
    addresses = [ipaddress.IPv4Address(each).packed for each in (sender, target)]
    head = struct.pack(">HHBBH", 1, IPV4, 6, 4, operation)
    return head + octets(sender_mac) + addresses[0] + bytes(6) + addresses[1]


def ipv4(source: str, target: str, payload: bytes, protocol: int = UDP) -> bytes:
    """Make an IPv4 packet."""
    addresses = b"".join(ipaddress.IPv4Address(each).packed for each in (source, target))
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    checksum = _checksum(head + addresses)
    return head[:10] + struct.pack(">H", checksum) + addresses + payload


def ipv6(source: str, target: str, payload: bytes, following: int = UDP) -> bytes:
    """Make an IPv6 packet."""
    addresses = b"".join(ipaddress.IPv6Address(each).packed for each in (source, target))
    return struct.pack(">IHBB", 0x60000000, len(payload), following, 255) + addresses + payload


def udp(source_port: int, target_port: int, data: bytes) -> bytes:
    """Make a UDP datagram without a checksum, which IPv4 allows and nobody here looks at."""
    return struct.pack(">HHHH", source_port, target_port, 8 + len(data), 0) + data


def icmpv6(source: str, target: str, kind: int, body: bytes) -> bytes:
    """Make an ICMPv6 message (RFC 4443)."""
    pseudo = b"".join(ipaddress.IPv6Address(each).packed for each in (source, target))
    pseudo += struct.pack(">II", 4 + len(body), ICMPV6)
    head = struct.pack(">BBH", kind, 0, 0)
    return struct.pack(">BBH", kind, 0, _checksum(pseudo + head + body)) + body


def neighbour(source: str, target: str, kind: int, about: str) -> bytes:
    """Make a packet of neighbour discovery about an address (RFC 4861)."""
    body = bytes(4) + ipaddress.IPv6Address(about).packed
    return ipv6(source, target, icmpv6(source, target, kind, body), ICMPV6)


def with_options(packet: bytes) -> bytes:
    """Put a header of destination options, which pad, into an IPv6 packet (RFC 8200, 4.6)."""
    return _headed(packet, DESTINATION_OPTIONS, bytes((packet[6], 0, 1, 4, 0, 0, 0, 0)), 0, None)


def fragmented(packet: bytes, begin: int = 0, end: int | None = None) -> bytes:
    """Give a fragment of an IPv6 packet: bytes, in eights, of what comes behind its header.

    All of it is a packet that needs no fragment header (RFC 6946).
    """
    header = struct.pack(">BBHI", packet[6], 0, begin | (end is not None), 7)
    return _headed(packet, FRAGMENT, header, begin, end)


def _headed(packet: bytes, kind: int, header: bytes, begin: int, end: int | None) -> bytes:
    payload = header + packet[40:][begin:end]
    length = struct.pack(">H", len(payload))
    return packet[:4] + length + bytes((kind,)) + packet[7:40] + payload


def _checksum(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
