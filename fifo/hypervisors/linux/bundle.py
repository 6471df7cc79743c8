"""What an OCI runtime is told of a zone: `config.json`, made of an instance's spec and claim.

Pure. Source of the form: the OCI runtime specification 1.0.2. Decisions:

- A zone has a user namespace: its root is an ordinary user of the host, the same for all zones, who
  owns the image cache's files, so that one unpacked image serves every zone.
- Its network namespace is made by the runtime, so that it is owned by that user namespace and ends
  with the zone's last process: nothing of it can be left over.
- No resource limits (rlimits): raising one needs a capability that a node in a container lacks.
- Capabilities: what services need inside. An init that is a whole system (systemd) gets those too
  that act on its own namespaces, and only within a user namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux import limits, seccomp
from fifo.hypervisors.linux.settings import UIDS
from fifo.model.instance import FILESYSTEM_OPTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.init import Init
    from fifo.model.instance import Filesystem, InstanceSpec

MIB: Final = 1024 * 1024
CAPABILITIES: Final = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
SYSTEM_CAPABILITIES: Final = ("CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_PTRACE")
UNCAPPED: Final = 100 * 1024
"""Hundredths of a processor that are as good as no cap: more than any host has."""
NAMESPACES: Final = ("pid", "network", "ipc", "uts", "mount", "cgroup")
MASKED: Final = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kallsyms", "/proc/kcore"),
    *("/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/vmallocinfo", "/sys/devices/virtual/powercap", "/sys/firmware"),
)
"""What tells of the host, or of other zones by it."""
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
SYSCTL: Final = {
    # Addresses are ours to give; a router's word is taken only where a nic asks for it.
    "net.ipv6.conf.default.accept_ra": "0",
    # ping without privileges.
    "net.ipv4.ping_group_range": "0 65534",
    # Services as any user may take the well-known ports: the zone has the network to itself.
    "net.ipv4.ip_unprivileged_port_start": "0",
}
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 -- of the zone, in its own mount namespace
TEMPORARY: Final = "/tmp"  # noqa: S108 -- of the zone, in its own mount namespace
RESOLVERS: Final = "resolv.conf"
GUEST_DIRECTORY: Final = "/var/lib/fifo"
"""Where a zone finds what it is told about itself: `metadata.json`."""

SHOWN: Final = "_pw"
"""The end of the keys of internal metadata that a guest may read (SmartOS: mdata-get)."""


class Place(NamedTuple):
    """Where things of the zone are on the host, and as whom it runs there."""

    root: Path
    guest: Path
    cgroup: str
    uid_base: int
    machine: str
    swap: bool = True
    io_weight: bool = False


def config(spec: InstanceSpec, init: Init, place: Place) -> dict[str, Any]:
    """Give the whole configuration; `place.cgroup` is the zone's own group."""
    whole_system = init.kind == "systemd" and place.uid_base > 0
    found: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(init, whole_system=whole_system),
        "root": {"path": str(place.root), "readonly": False},
        "hostname": hostname(spec),
        "mounts": [*_own_mounts(spec, whole_system=whole_system), *_host_mounts(spec, place)],
        "annotations": {"fifo.uid": spec.uid},
        "linux": {
            "cgroupsPath": place.cgroup,
            "resources": resources(spec, swap=place.swap, io_weight=place.io_weight),
            "namespaces": [{"type": name} for name in NAMESPACES],
            "seccomp": seccomp.profile(place.machine, whole_system=whole_system),
            "sysctl": sysctl(spec),
            "maskedPaths": list(MASKED),
            "readonlyPaths": [] if whole_system else list(READ_ONLY),
        },
    }
    if place.uid_base:
        mapping = [{"containerID": 0, "hostID": place.uid_base, "size": UIDS}]
        found["linux"] |= {"uidMappings": mapping, "gidMappings": mapping}
        found["linux"]["namespaces"].append({"type": "user"})
    return found


def hostname(spec: InstanceSpec) -> str:
    """Give the name that a zone calls itself: the payload's, else its alias, else its uid."""
    return (spec.hostname or spec.alias or spec.uid)[:64]


def sysctl(spec: InstanceSpec) -> dict[str, str]:
    """Give the kernel parameters of the zone's own namespaces."""
    if any("addrconf" in nic.ips for nic in spec.nics):
        return SYSCTL | {"net.ipv6.conf.default.accept_ra": "2"}
    return dict(SYSCTL)


def resources(spec: InstanceSpec, *, swap: bool, io_weight: bool) -> dict[str, Any]:
    """Give `linux.resources`; also what `update` of a running zone is told.

    vmadm's words: memory in MiB, cpu_cap in hundredths of a processor, 0 for no cap; max_swap
    counts memory and swap together.
    """
    memory: dict[str, int] = {"limit": spec.max_physical_memory * MIB}
    if swap:
        memory["swap"] = max(spec.max_swap, spec.max_physical_memory) * MIB
    cpu: dict[str, int] = {
        "shares": max(2, spec.cpu_shares),
        "period": limits.CPU_PERIOD_US,
        # crun cannot write the kernel's word for "no quota", -1.
        "quota": (spec.cpu_cap or UNCAPPED) * limits.CPU_PERIOD_US // 100,
    }
    found: dict[str, Any] = {
        "memory": memory,
        "cpu": cpu,
        "pids": {"limit": spec.max_lwps},
        # The runtime adds null, zero, full, random, urandom, tty and the terminals.
        "devices": [{"allow": False, "access": "rwm"}],
    }
    if io_weight:
        found["blockIO"] = {"weight": min(1000, max(10, spec.zfs_io_priority))}
    return found


def _process(init: Init, *, whole_system: bool) -> dict[str, Any]:
    capabilities = [*CAPABILITIES, *(SYSTEM_CAPABILITIES if whole_system else ())]
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": list(init.command),
        "env": list(init.environment),
        "cwd": init.directory,
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
        "noNewPrivileges": False,
    }


def _mount(destination: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def _own_mounts(spec: InstanceSpec, *, whole_system: bool) -> list[dict[str, Any]]:
    """Give the file systems of the zone's own namespaces."""
    private = ("nosuid", "noexec", "nodev")
    size = f"size={limits.TMP_DEVICE_KIB}k"
    mounts = [
        _mount("/proc", "proc", *private),
        _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", size),
        _mount(
            "/dev/pts", "devpts",
            "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5",
        ),
        _mount(SHARED_MEMORY, "tmpfs", *private, "mode=1777", size),
        _mount("/dev/mqueue", "mqueue", *private),
        _mount("/sys", "sysfs", *private, "ro"),
        _mount(
            "/sys/fs/cgroup", "cgroup", *private, "relatime", *(() if whole_system else ("ro",))
        ),
    ]  # fmt: skip
    if whole_system:
        mounts.append(_mount("/run", "tmpfs", "nosuid", "nodev", "mode=755"))
    if spec.tmpfs:
        size = f"size={spec.tmpfs}m"
        mounts.append(_mount(TEMPORARY, "tmpfs", "nosuid", "nodev", "mode=1777", size))
    return mounts


def _host_mounts(spec: InstanceSpec, place: Place) -> list[dict[str, Any]]:
    """Give what is mounted from the host: our files about the zone, and the spec's filesystems."""
    found = [_bind(str(place.guest / "metadata"), GUEST_DIRECTORY, ("ro", "nosuid", "nodev"))]
    found += [
        _bind(str(place.guest / name), f"/etc/{name}", ("nosuid", "nodev"))
        for name in ("hosts", "hostname", RESOLVERS)
        if name != RESOLVERS or _tells_resolvers(spec)
    ]
    return found + [_bind(fs.source, fs.target, bind_options(fs)) for fs in spec.filesystems]


def _tells_resolvers(spec: InstanceSpec) -> bool:
    """Tell whether a zone gets our resolv.conf: only one that says something.

    Without, the image's own file is what counts, or what the zone's own DHCP client writes there.
    """
    is_leased = any("dhcp" in nic.ips for nic in spec.nics)
    return bool(spec.resolvers) or (bool(spec.dns_domain) and not is_leased)


def shows_resolvers(config_json: bytes) -> bool:
    """Tell whether a zone that was started with a written configuration sees our resolv.conf."""
    mounts = msgspec.json.decode(config_json)["mounts"]
    return any(each["destination"] == f"/etc/{RESOLVERS}" for each in mounts)


def _bind(source: str, target: str, options: tuple[str, ...]) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": source, "options": ["bind", *options]}


def bind_options(filesystem: Filesystem) -> tuple[str, ...]:
    """Give the mount options of a directory of the host's; devices never come with it."""
    # Records are older than the check of their words: this one was taken and must not be lost.
    words = ["ro" if option == "readonly" else option for option in filesystem.options]
    kept = [option for option in words if option in FILESYSTEM_OPTIONS]
    return ("nodev", *(option for option in kept if not option.startswith("nodev")))


def environment(config_json: bytes) -> dict[str, str]:
    """Give the variables of a zone's first process, from its written configuration."""
    found = msgspec.json.decode(config_json)["process"]["env"]
    return {name: value for name, _, value in (entry.partition("=") for entry in found)}


def files(spec: InstanceSpec, addresses: tuple[str, ...]) -> dict[str, bytes]:
    """Give the files about the zone that are mounted into it, by their path below `place.guest`."""
    name = hostname(spec)
    whole = f"{name}.{spec.dns_domain} {name}" if spec.dns_domain else name
    hosts = ["127.0.0.1\tlocalhost", "::1\tlocalhost", *(f"{each}\t{whole}" for each in addresses)]
    resolvers = [f"nameserver {each}" for each in spec.resolvers]
    if spec.dns_domain:
        resolvers.insert(0, f"search {spec.dns_domain}")
    return {
        "hosts": _lines(hosts),
        "hostname": _lines([name]),
        RESOLVERS: _lines(resolvers),
        "metadata/metadata.json": metadata(spec),
    }


def metadata(spec: InstanceSpec) -> bytes:
    """Give what an instance, zone or VM, finds about itself in `metadata.json`."""
    found = {
        "uuid": spec.uid,
        "alias": spec.alias,
        "hostname": hostname(spec),
        "customer_metadata": spec.customer_metadata,
        "internal_metadata": {
            name: value for name, value in spec.internal_metadata.items() if name.endswith(SHOWN)
        },
        "tags": spec.tags,
    }
    return msgspec.json.encode(found, order="sorted")


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
