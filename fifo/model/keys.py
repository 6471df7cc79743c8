"""The keys of the store: which record stands where.

A uid is the only name in a key, but for the index from chosen ids to uids. Keys of one kind stand
together, so that a prefix lists and watches them.
"""

from __future__ import annotations

import ipaddress
from typing import Final

INSTANCE_SPEC: Final = b"instance/spec/"
INSTANCE_STATUS: Final = b"instance/status/"
CLAIM: Final = b"instance/claim/"
CLEANUP: Final = b"cleanup/"
HYPERVISOR_SPEC: Final = b"hypervisor/spec/"
HYPERVISOR_STATUS: Final = b"hypervisor/status/"
ALLOCATION: Final = b"hypervisor/allocation/"
IMAGE: Final = b"image/"
PACKAGE: Final = b"package/"
NETWORK: Final = b"network/"
ADDRESS: Final = b"address/"
MAC: Final = b"mac/"
OPERATION: Final = b"operation/"
OPERATION_INPUT: Final = b"operation_input/"
STORY: Final = b"story/"
INDEX: Final = b"index/"
TOKEN: Final = b"token/"
OWNER: Final = b"owner/"

# An agent's own store.
AGENT_SPEC: Final = b"agent/spec/"
AGENT_MEMORY: Final = b"agent/memory/"
AGENT_RESULT: Final = b"agent/result/"
AGENT_JOURNAL: Final = b"agent/journal/"
AGENT_FENCE: Final = b"agent/fence"
AGENT_STATUS: Final = b"agent/status/"
AGENT_ACKNOWLEDGED: Final = b"agent/acknowledged"


def by_uid(prefix: bytes, uid: str) -> bytes:
    """Give the key of the record that a uid alone names."""
    return prefix + uid.encode()


def uid_of(key: bytes) -> str:
    """Give what stands last in a key."""
    return key.rpartition(b"/")[2].decode()


def end_of(prefix: bytes) -> bytes:
    """Give the end of the range of all keys with a prefix, which ends with a slash."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def index(collection: str, org: str, resource_id: str) -> bytes:
    """Give the key that holds the uid of a chosen id."""
    return INDEX + f"{collection}/{org}/{resource_id}".encode()


def wire_guard(nic_tag: str, vlan_id: int) -> bytes:
    """Give the key that is written whenever a wire and VLAN gets a network, or it is changed."""
    return index("wires", "", f"{nic_tag}/{vlan_id}")


def operation_input(left: str, first: int) -> bytes:
    """Give the key of what a batch asks for in the chunk that begins with an item.

    `left` is what the request called it: another for each call, whatever operation comes of it.
    """
    return operation_inputs(left) + f"{first:08x}".encode()


def operation_inputs(left: str) -> bytes:
    """Give the prefix of all that a batch asks for."""
    return OPERATION_INPUT + f"{left}/".encode()


def cleanup(host: str, uid: str, snapshot: str = "") -> bytes:
    """Give the key of what a host still owes of an instance, or for one of its snapshots."""
    return CLEANUP + f"{host}/{uid}{f'/{snapshot}' if snapshot else ''}".encode()


def address(network: str, text: str) -> bytes:
    """Give the key of an address; in a pool keys stand in the order of the addresses.

    `network` is a uid, or a wire where no network has the address.
    """
    value = ipaddress.ip_address(text)
    return ADDRESS + f"{network}/{value.version}/{int(value):032x}".encode()


def story(uid: str, number: int, after: int = 0) -> bytes:
    """Give the key of an instance's event; `number` grows with each that its agent tells.

    What the fleet tells itself stands `after` one of those, the first of such with 1.
    """
    return STORY + f"{uid}/{number:016x}{f'.{after:04x}' if after else ''}".encode()


def story_number(key: bytes) -> tuple[int, int]:
    """Give what an event's key was made of: `number` and `after`."""
    number, _, after = uid_of(key).partition(".")
    return int(number, 16), int(after or "0", 16)


def stories(uid: str) -> bytes:
    """Give the prefix of an instance's events."""
    return STORY + f"{uid}/".encode()


def journal(sequence: int) -> bytes:
    """Give the key of an agent's journal entry."""
    return AGENT_JOURNAL + f"{sequence:016x}".encode()


def result(operation: str, step: str, uid: str) -> bytes:
    """Give the key of an agent's record of a command's result."""
    return AGENT_RESULT + f"{operation}/{step}/{uid}".encode()
