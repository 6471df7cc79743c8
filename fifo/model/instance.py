"""An instance: a zone or a virtual machine, as it is wanted and as it is.

Its vocabulary is vmadm's, units included: memory in MiB, quota in GiB, cpu_cap in hundredths of a
processor. Each record has one writer: the spec is written by workflows, the claim by placement, the
status by the session that owns the host.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from fifo.model.operation import Failure
from fifo.model.records import Record, Value

Brand = Literal["joyent", "joyent-minimal", "lx", "bhyve", "kvm"]
Wanted = Literal["running", "stopped"]
Restart = Literal["never", "on_failure", "always"]
Scalar = str | int | float | bool

VM_BRANDS: Final = frozenset({"bhyve", "kvm"})
"""Brands with a kernel of their own (vmadm: HVM)."""


class Nic(Value, frozen=True):
    """An interface; `network` is a network's uid, and an empty `ips` is filled by its claim."""

    interface: str
    mac: str
    nic_tag: str = ""
    network: str = ""
    ips: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    primary: bool = False
    model: str = ""
    vlan_id: int = 0
    mtu: int = 1500
    allow_ip_spoofing: bool = False
    allow_mac_spoofing: bool = False
    allow_dhcp_spoofing: bool = False
    allowed_ips: tuple[str, ...] = ()
    allow_restricted_traffic: bool = False


class Disk(Value, frozen=True):
    """A disk of a VM: made from an image, or empty with a size in MiB."""

    path: str
    image: str = ""
    size: int = 0
    boot: bool = False
    model: str = "virtio"
    media: Literal["disk", "cdrom"] = "disk"


FILESYSTEM_TYPES: Final = ("bind", "lofs")
"""What a directory of the host is called inside a zone, by Linux and by vmadm."""
FILESYSTEM_OPTIONS: Final = ("nodev", "nodevice", "nodevices", "noexec", "nosuid", "ro", "rw")
"""How it may be mounted; another word would be dropped, and `readonly` mean a writable one."""


class Filesystem(Value, frozen=True):
    """A directory of the host inside a zone (vmadm: filesystems)."""

    source: str
    target: str
    type: str = "lofs"
    options: tuple[str, ...] = ()


class RestartPolicy(Value, frozen=True):
    """What happens when the instance ends by itself, and when to give up.

    Waits grow from `first_s` by `factor` up to `most_s`; `attempts` ends within `window_s` seconds
    are a crash loop.
    """

    when: Restart = "on_failure"
    first_s: float = 0.1
    most_s: float = 60.0
    factor: float = 2.0
    attempts: int = 10
    window_s: float = 300.0


class StopPatience(Value, frozen=True):
    """How many seconds a guest has at the stop or reboot that made a generation; 0 forces it."""

    generation: int
    seconds: float


class InstanceSpec(Record, frozen=True, tag="instance_spec/1"):
    """How an instance is wanted; each accepted change raises the generation."""

    uid: str
    id: str
    org: str
    generation: int
    wanted: Wanted
    brand: Brand
    create_time: float
    alias: str = ""
    image: str = ""
    package: str = ""
    owner_uuid: str = ""
    billing_id: str = ""
    hostname: str = ""
    dns_domain: str = ""
    ram: int = 256
    max_physical_memory: int = 256
    max_locked_memory: int = 0
    max_swap: int = 0
    max_lwps: int = 2000
    cpu_cap: int = 0
    cpu_shares: int = 100
    vcpus: int = 1
    quota: int = 10
    zfs_io_priority: int = 100
    tmpfs: int = 0
    autoboot: bool = True
    firewall_enabled: bool = False
    deletion_protection: bool = False
    deleting: bool = False
    """It is to go, whatever else is wanted; nothing takes this back."""
    resolvers: tuple[str, ...] = ()
    nics: tuple[Nic, ...] = ()
    disks: tuple[Disk, ...] = ()
    filesystems: tuple[Filesystem, ...] = ()
    customer_metadata: dict[str, Scalar] = {}
    internal_metadata: dict[str, Scalar] = {}
    tags: dict[str, Scalar] = {}
    routes: dict[str, str] = {}
    kernel_version: str = ""
    init: tuple[str, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    boot_generation: int = 1
    """Raised by a reboot: the instance is started anew once for each value."""
    patience: StopPatience | None = None
    """What a caller said of one stop; it is for its own generation, so that no later one has it."""
    unasked: int = 0
    """The generation that nobody asked for: made to be beyond its host's, in a store that was put
    back. It says what is wanted, but what stays down until it is asked for stays down in it."""
    wanted_host: str = ""
    """The hypervisor that the creator insists on, by uid."""
    unhonoured: tuple[str, ...] = ()
    """Properties of the payload that this kind of host cannot honour."""
    extra: dict[str, Scalar] = {}
    """Properties that are kept and returned but mean nothing here (qemu_opts, zlog_mode, ...)."""

    @property
    def is_vm(self) -> bool:
        """Tell whether it has a kernel of its own."""
        return self.brand in VM_BRANDS

    @property
    def images(self) -> frozenset[str]:
        """Give the uids of the images that it is made from: a zone's own, and those of disks."""
        return frozenset({self.image, *[disk.image for disk in self.disks]} - {""})

    @property
    def asked(self) -> int:
        """The generation to compare with one in which it went down: who asks later starts it."""
        return self.generation - 1 if self.unasked == self.generation else self.generation

    @property
    def patience_s(self) -> float | None:
        """Seconds that the guest has at the stop of this generation; None: as is usual."""
        patience = self.patience
        if patience is None or patience.generation != self.generation:
            return None
        return patience.seconds


class Shares(Value, frozen=True):
    """Parts of a host: processors in hundredths (vmadm's cpu_cap), memory in MiB, disk in GiB."""

    cpu: int = 0
    memory: int = 0
    disk: int = 0


class Claim(Record, frozen=True, tag="claim/1"):
    """What an instance holds: its host, its parts of it, and an address for each nic by its mac."""

    uid: str
    host: str
    shares: Shares
    addresses: dict[str, tuple[str, ...]] = {}
    networks: dict[str, str] = {}
    operation: str = ""


State = Literal[
    "provisioning",
    "stopped",
    "starting",
    "running",
    "stopping",
    "backing_off",
    "failed",
    "deleting",
    "deleted",
]


class Exit(Value, frozen=True):
    """How an instance ended last: an exit code, a signal, or neither if nobody could see it.

    `resets` is how often its guest had started anew in a row, when it was ended for that.
    `out_of_memory`: the kernel killed it for want of memory, with `memory_limit_bytes` as its own
    limit, 0 for none. `not_started` is why its host could not start it, of a start by itself that
    came to nothing.
    """

    at: float
    code: int | None = None
    signal: int | None = None
    forced: bool = False
    resets: int = 0
    out_of_memory: bool = False
    memory_limit_bytes: int = 0
    not_started: str = ""

    @property
    def orderly(self) -> bool:
        """Tell whether it ended as a program does that was done; an unknown end is a failure."""
        return self.code == 0 and self.signal is None


class InstanceStatus(Record, frozen=True, tag="instance_status/1"):
    """How an instance was seen last by its host's agent.

    `generation` is the newest spec that it was brought to, `boot_id` the host's boot. `start_id` is
    of its latest start: higher than that of any before, but no count, since one that was remembered
    and came to nothing keeps its number. Times are UTC seconds.
    """

    uid: str
    host: str
    state: State
    generation: int
    since: float
    boot_id: str = ""
    start_id: int = 0
    pid: int = 0
    boot_generation: int = 0
    restarts: int = 0
    exit: Exit | None = None
    reason: str = ""
    addresses: dict[str, tuple[str, ...]] = {}
    pending_reboot: tuple[str, ...] = ()
    """Properties that are accepted and take effect at the next start."""
    snapshots: tuple[Snapshot, ...] = ()
    console: bool = False
    failure: Failure | None = None
    """Why it is `failed`, as the host's error; None if that was no error but a crash loop."""


class Snapshot(Value, frozen=True):
    """A snapshot as its host has it; the size is what it holds alone, in bytes, where known."""

    name: str
    created: float
    size_bytes: int = 0
    reason: str = ""


Owed: TypeAlias = Literal["instance", "image", "snapshot"]
"""What a host can owe the removal of."""


class Cleanup(Record, frozen=True, tag="cleanup/1"):
    """What a host still owes: the removal of something that it could not be asked for.

    `uid` is an instance's, or an image's; with `snapshot` it is that of the instance's alone. An
    instance's claim stays held until the host confirms or is removed by force (design: section 6).
    """

    uid: str
    host: str
    operation: str
    since: float
    claim: Claim | None = None
    what: Owed = "instance"
    snapshot: str = ""
