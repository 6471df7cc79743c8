"""What an instance's spec has to be, however it was made: payload, API's own form, or update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from fifo.model import limits as bounds
from fifo.model import names
from fifo.model.instance import Brand, InstanceSpec, Restart, Wanted
from fifo.model.vmadm import disks, limits, nics, texts
from fifo.model.vmadm.findings import REQUIRED, Findings
from fifo.model.vmadm.memory import OVERHEAD_LEAST
from fifo.model.vmadm.metadata import check_metadata
from fifo.model.vmadm.parts import DISK_MODELS
from fifo.model.vmadm.values import key_wanted, scalar_wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fifo.model.errors import Violation
    from fifo.model.instance import Disk, Nic, RestartPolicy

NUMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "ram": (1, limits.MEMORY_MIB),
    "max_physical_memory": (1, limits.MEMORY_MIB),
    "max_locked_memory": (0, limits.MEMORY_MIB),
    "max_swap": (0, limits.MEMORY_MIB),
    "tmpfs": (0, limits.MEMORY_MIB),
    "max_lwps": (1, limits.LWPS),
    "cpu_cap": (0, limits.CPU_PERCENT),
    "cpu_shares": (0, limits.CPU_SHARES),
    "vcpus": (1, limits.VCPUS),
    "quota": (0, limits.DISK_GIB),
    "zfs_io_priority": (0, limits.IO_PRIORITY),
    "generation": (1, limits.NUMBER_LARGEST),
    "boot_generation": (0, limits.NUMBER_LARGEST),
}
"""The bounds of a spec's numbers: least and most."""
TEXTS: Final[Mapping[str, int]] = {
    "alias": bounds.ALIAS_CHARACTERS,
    "owner_uuid": 64,
    "billing_id": 64,
    "kernel_version": 64,
    "image": 64,
    "package": 64,
    "wanted_host": 64,
}
"""The characters of a spec's texts, each one line."""
OF_ZONES: Final = ("filesystems", "init", "kernel_version", "tmpfs")
"""Fields of a spec, and of the API's message, that a VM has none of."""
OF_VMS: Final = ("disks",)
"""Those that a zone has none of."""
_WORDS: Final = {"brand": get_args(Brand), "wanted": get_args(Wanted)}
_LISTED: Final[Mapping[str, tuple[int, Callable[[str, Nic], str]]]] = {
    "ips": (bounds.ADDRESSES_A_NIC, lambda text, _: nics.ip_wanted(text)),
    "gateways": (limits.GATEWAYS, lambda text, nic: nics.gateway_wanted(text, nic.ips)),
    "allowed_ips": (
        limits.ALLOWED_IPS,
        lambda text, _: "" if texts.is_network(text) else "an address or a CIDR",
    ),
}
"""Lists of an interface: how many entries, and what is wanted in place of one that is wrong."""
_MTU: Final = (576, 9_000)
_VLAN: Final = (0, 4_094)
_SECONDS_MOST: Final = 86_400.0
_ATTEMPTS_MOST: Final = 1_000
_FACTOR_MOST: Final = 100.0


def violations(spec: InstanceSpec) -> tuple[Violation, ...]:
    """List all that is wrong with a spec; nothing if it is valid."""
    found = Findings()
    _check_numbers(spec, found)
    _check_texts(spec, found)
    _check_names(spec, found)
    _check_memory(spec, found)
    _check_nics(spec, found)
    _check_storage(spec, found)
    _check_words(spec, found)
    _check_restart(spec.restart, found)
    return tuple(found.violations)


def _check_numbers(spec: InstanceSpec, found: Findings) -> None:
    for name, (least, most) in NUMBERS.items():
        if not least <= getattr(spec, name) <= most:
            found.refuse(name, f"a whole number from {least} to {most}")


def _check_texts(spec: InstanceSpec, found: Findings) -> None:
    for name, characters in TEXTS.items():
        own = getattr(spec, name)
        if len(own) > characters or texts.CONTROL.search(own):
            found.refuse(name, f"one line of at most {characters} characters")
    for name, known in _WORDS.items():
        if getattr(spec, name) not in known:
            found.refuse(name, f"one of {', '.join(known)}")


def _check_names(spec: InstanceSpec, found: Findings) -> None:
    if not names.is_uid(spec.uid):
        found.refuse("uid", "a lower-case uuid")
    for name in ("id", "org"):
        if not names.is_id(getattr(spec, name)):
            found.refuse(name, "an id like web-1")
    for name in ("hostname", "dns_domain"):
        own = getattr(spec, name)
        if own and not texts.HOST_NAME.fullmatch(own):
            found.refuse(name, "a host name")
    if len(spec.resolvers) > limits.RESOLVERS:
        found.refuse("resolvers", f"at most {limits.RESOLVERS}")
    for index, text in enumerate(spec.resolvers):
        if not texts.is_address(text):
            found.refuse(f"resolvers[{index}]", "an IPv4 or IPv6 address")
    if not spec.is_vm and not spec.image:
        found.refuse("image", f"{REQUIRED}: a {spec.brand} instance is made of one")


def _check_memory(spec: InstanceSpec, found: Findings) -> None:
    physical = spec.max_physical_memory
    if spec.is_vm and physical < spec.ram + OVERHEAD_LEAST:
        told = f"at least {spec.ram + OVERHEAD_LEAST}: the ram, and {OVERHEAD_LEAST} for its QEMU"
        found.refuse("max_physical_memory", told)
    if spec.max_locked_memory > physical:
        found.refuse("max_locked_memory", f"at most {physical}, max_physical_memory")
    least = max(limits.SWAP_LEAST_MIB, physical)
    # 0 is absent, and the host's own.
    if spec.max_swap and spec.max_swap < least:
        found.refuse("max_swap", f"at least {least}")
    if spec.tmpfs > physical:
        found.refuse("tmpfs", f"at most {physical}, max_physical_memory")


def _check_nics(spec: InstanceSpec, found: Findings) -> None:
    if len(spec.nics) > bounds.NICS:
        found.refuse("nics", f"at most {bounds.NICS}")
    for index, nic in enumerate(spec.nics):
        _check_nic(nic, f"nics[{index}]", found)
    nics.check_together(spec.nics, "nics", found)
    _check_placed(spec.nics, found)
    if len(spec.routes) > limits.ROUTES:
        found.refuse("routes", f"at most {limits.ROUTES}")
    nics.check_routes(spec.routes, spec.nics, "routes", found)


def _check_placed(own: tuple[Nic, ...], found: Findings) -> None:
    """Refuse more addresses on networks than one transaction claims."""
    plugged = [nic for nic in own if nic.network]
    most = bounds.PLACED_KEYS - len({nic.network for nic in plugged})
    given = sum(len([ip for ip in nic.ips if ip not in texts.DYNAMIC]) for nic in plugged)
    if given > most:
        found.refuse("nics", f"at most {most} addresses on their networks in all, not {given}")


def _check_nic(nic: Nic, path: str, found: Findings) -> None:
    if not texts.INTERFACE.fullmatch(nic.interface):
        found.refuse(f"{path}.interface", "a name like net0")
    if not texts.is_mac(nic.mac) or nic.mac != texts.whole_mac(nic.mac):
        found.refuse(f"{path}.mac", "a hardware address like 02:00:00:00:00:01")
    if not nic.nic_tag and not nic.network:
        found.refuse(path, "a network, or a nic_tag")
    if nic.nic_tag and not texts.NIC_TAG.fullmatch(nic.nic_tag):
        found.refuse(f"{path}.nic_tag", "a nic tag like external")
    for name, (least, most) in {"mtu": _MTU, "vlan_id": _VLAN}.items():
        if not least <= getattr(nic, name) <= most:
            found.refuse(f"{path}.{name}", f"a whole number from {least} to {most}")
    _check_addresses(nic, path, found)


def _check_addresses(nic: Nic, path: str, found: Findings) -> None:
    for name, (most, wanted_for) in _LISTED.items():
        own = getattr(nic, name)
        if len(own) > most:
            found.refuse(f"{path}.{name}", f"at most {most}")
        for index, text in enumerate(own):
            if wanted := wanted_for(text, nic):
                found.refuse(f"{path}.{name}[{index}]", wanted)
    if len(nic.ips) + len(nic.allowed_ips) > limits.ADDRESSES:
        found.refuse(path, f"at most {limits.ADDRESSES} addresses in all")


def _check_storage(spec: InstanceSpec, found: Findings) -> None:
    for name in OF_ZONES if spec.is_vm else OF_VMS:
        if getattr(spec, name):
            found.refuse(name, f"nothing: a {spec.brand} instance has none")
    if len(spec.disks) > bounds.DISKS:
        found.refuse("disks", f"at most {bounds.DISKS}")
    for index, disk in enumerate(spec.disks):
        _check_disk(disk, f"disks[{index}]", spec.brand, found)
    disks.check_together(spec.disks, "disks", found)
    if len(spec.filesystems) > limits.FILESYSTEMS:
        found.refuse("filesystems", f"at most {limits.FILESYSTEMS}")
    for index, own in enumerate(spec.filesystems):
        for name in ("source", "target"):
            if not getattr(own, name):
                found.refuse(f"filesystems[{index}].{name}", REQUIRED)
    disks.check_filesystems(spec.filesystems, "filesystems", found)


def _check_disk(disk: Disk, path: str, brand: str, found: Findings) -> None:
    if not texts.is_disk_path(disk.path):
        found.refuse(f"{path}.path", "a path without `..`, not beginning with a dash")
    if not 0 <= disk.size <= limits.DISK_MIB:
        found.refuse(f"{path}.size", f"a whole number from 0 to {limits.DISK_MIB}")
    if disk.media == "disk" and not disk.size and not disk.image:
        found.refuse(f"{path}.size", "a size in MiB, or an image")
    if brand in DISK_MODELS:
        disks.check_model(disk.model, path, brand, found)


def _check_words(spec: InstanceSpec, found: Findings) -> None:
    """Check tags, metadata, the first command, and what is only kept."""
    for name in ("tags", "customer_metadata", "internal_metadata", "extra"):
        own: Mapping[str, Any] = getattr(spec, name)
        most = limits.EXTRA if name == "extra" else bounds.TAGS
        if len(own) > most:
            found.refuse(name, f"at most {most} entries")
        for key, item in own.items():
            if wanted := key_wanted(key) or scalar_wanted(item):
                found.refuse(f"{name}.{texts.shown(key)}", wanted)
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    check_metadata(fields, found)
    if len(spec.init) > limits.INIT_WORDS:
        found.refuse("init", f"at most {limits.INIT_WORDS} words")
    for index, word in enumerate(spec.init):
        if "\0" in word or len(word) > limits.TEXT_CHARACTERS:
            found.refuse(f"init[{index}]", f"at most {limits.TEXT_CHARACTERS} characters, no NUL")


def _check_restart(policy: RestartPolicy, found: Findings) -> None:
    if policy.when not in get_args(Restart):
        found.refuse("restart.when", f"one of {', '.join(get_args(Restart))}")
    # Written so that NaN is refused too.
    if not 0.0 <= policy.first_s <= policy.most_s <= _SECONDS_MOST:
        found.refuse("restart.first_s", f"0 to most_s, which is up to {_SECONDS_MOST:g}")
    if not 1.0 <= policy.factor <= _FACTOR_MOST:
        found.refuse("restart.factor", f"1 to {_FACTOR_MOST:g}")
    if not 1 <= policy.attempts <= _ATTEMPTS_MOST:
        found.refuse("restart.attempts", f"a whole number from 1 to {_ATTEMPTS_MOST}")
    if not 1.0 <= policy.window_s <= _SECONDS_MOST:
        found.refuse("restart.window_s", f"1 to {_SECONDS_MOST:g}")
