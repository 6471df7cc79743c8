"""The contract between an agent and its host: what every driver can be asked.

A driver never decides: it acts on what it is told and reports what it sees. Every verb is
idempotent, since it may be repeated after a crash on either side: to create what is there, to stop
what is stopped and to delete what is gone is success. All run on the node's loop; a driver awaits
its own I/O and never blocks. An agent asks one thing at a time of one instance. A caller may give
up at its deadline: then the coroutine is closed where it stands. What goes wrong is an error of
`fifo.model.errors`: Unsupported with the reason where this host cannot do it at all, NotFound for
an instance, image or snapshot that is not there, WrongState for what only a running or only a
stopped instance allows, NoRoom for a full disk or host, DriverFailed with the host's own words
otherwise.

One conformance suite holds for all drivers: `tests/hypervisors/conformance`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fifo.model.hypervisor import Probe
    from fifo.model.image import Image
    from fifo.model.instance import Claim, Exit, InstanceSpec, Snapshot
    from fifo.model.network import Network


class Observed(NamedTuple):
    """What the host says of one instance.

    `start_id` is the one it was last started with, 0 for never. `exit` is how the latest start
    ended, if it did. `pid` is of the zone's init or of QEMU.
    """

    uid: str
    state: Literal["running", "stopped"]
    start_id: int = 0
    pid: int = 0
    boot_id: str = ""
    exit: Exit | None = None


class Ended(NamedTuple):
    """An instance's start is over; told once for each start, also for one nobody watched."""

    uid: str
    start_id: int
    exit: Exit


class Inventory(NamedTuple):
    """Everything that is on the host; the first thing a subscriber hears, and after each gap.

    Ends that nobody was told of follow it, an Ended each. What a create did not finish is not in
    it: a second create or a delete deals with that.
    """

    instances: tuple[Observed, ...]


class Broken(NamedTuple):
    """The driver lost sight of its host and will say Inventory again when it sees it."""

    reason: str


Event = Ended | Inventory | Broken


class Wanted(NamedTuple):
    """All a driver needs to know to make or change one instance."""

    spec: InstanceSpec
    claim: Claim
    networks: tuple[Network, ...] = ()
    image: Image | None = None


class Applied(NamedTuple):
    """Which properties of an update took effect at once, and which will at the next start."""

    live: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()


class NicStats(NamedTuple):
    """Counters of one interface, seen from the instance."""

    interface: str
    received_bytes: int
    sent_bytes: int
    received_packets: int
    sent_packets: int


class DiskStats(NamedTuple):
    """Counters of one disk, or of a zone's io as a whole (`name` is then `root`)."""

    name: str
    read_bytes: int
    written_bytes: int
    reads: int
    writes: int


class Stats(NamedTuple):
    """What one running instance has used so far; counters start anew with each start."""

    uid: str
    cpu_seconds: float
    memory_bytes: int
    memory_limit_bytes: int
    processes: int
    nics: tuple[NicStats, ...] = ()
    disks: tuple[DiskStats, ...] = ()
    filesystem_used_bytes: int = 0
    filesystem_size_bytes: int = 0
    halted: bool = False
    """Whether the host holds it up since its disk is full; with room it goes on by itself."""


class HostUsage(NamedTuple):
    """What a host's own figures are now; what it cannot tell is None, or missing."""

    load: tuple[float, ...] = ()
    """Processes that run or wait to, on average over 1, 5 and 15 minutes."""
    cpu_seconds: Mapping[str, float] = MappingProxyType({})
    """Time of all processors since the host's boot, by what they did (proc(5): stat)."""
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    storage_bytes: int | None = None
    storage_available_bytes: int | None = None


class Channel(Protocol):
    """A terminal or a command's standard streams: a console, a shell, an exec.

    `read` gives (stream, bytes) in the order they came, stream 1 for output and 2 for errors, and
    None when there will be no more; `exit_code` is then set for a command that has ended. Reading
    paces the other side: what is not read is bounded, and beyond that the channel is closed, never
    the guest held up; `fell_behind` is then set. Without it a console that ends has ended at its
    source. `close` detaches; it ends an exec's command, never a console's instance.
    """

    exit_code: int | None
    fell_behind: bool

    def read(self) -> Awaitable[tuple[int, bytes] | None]:
        """Wait for output; raises Unavailable if the way to a console broke: attach again."""

    def write(self, data: bytes) -> Awaitable[None]:
        """Type; empty data is end of input for a command."""

    def resize(self, columns: int, rows: int) -> Awaitable[None]:
        """Tell the terminal its size."""

    def close(self) -> Awaitable[None]:
        """Detach."""


class Subscription(Protocol):
    """A standing order for events."""

    def cancel(self) -> None:
        """Hear no more."""


class Driver(Protocol):
    """A host."""

    def probe(self) -> Awaitable[Probe]:
        """Find out by trial what this host can do."""

    def inventory(self) -> Awaitable[tuple[Observed, ...]]:
        """Look at everything that is there, also what no agent has made."""

    def inspect(self, uid: str) -> Awaitable[Observed | None]:
        """Look at one instance alone; None if it is not there, or was not created to its end."""

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        """Deliver events from now on, an Inventory first, each on the node's loop."""

    # -- life --------------------------------------------------------------------------------

    def create(self, wanted: Wanted) -> Awaitable[None]:
        """Make its storage, configuration and networking; it does not run yet."""

    def start(self, wanted: Wanted, start_id: int) -> Awaitable[Observed]:
        """Start it; returns when it runs. If it runs already that is success, told as it is.

        `start_id` is higher than any before, and may leave numbers out.
        """

    def stop(self, uid: str, patience_s: float) -> Awaitable[Exit | None]:
        """Ask it to stop and force it after `patience_s` (0: at once); None if it did not run.

        Asked again while that is under way the shorter patience counts, for both.
        """

    def update(self, wanted: Wanted) -> Awaitable[Applied]:
        """Bring limits, networks and metadata to what is wanted, as far as it can be done live."""

    def delete(self, uid: str) -> Awaitable[None]:
        """Force it to end and remove all that was made for it, also after half a create."""

    # -- snapshots ---------------------------------------------------------------------------

    def snapshots(self, uid: str) -> Awaitable[tuple[Snapshot, ...]]:
        """List them, oldest first."""

    def snapshot(self, uid: str, name: str) -> Awaitable[Snapshot]:
        """Take one; of a running instance too."""

    def roll_back(self, uid: str, name: str) -> Awaitable[None]:
        """Put a stopped instance back; newer snapshots are destroyed (vmadm)."""

    def delete_snapshot(self, uid: str, name: str) -> Awaitable[None]:
        """Drop one."""

    # -- images ------------------------------------------------------------------------------

    def images(self) -> Awaitable[tuple[str, ...]]:
        """List the uids of the images in the host's cache."""

    def fetch_image(self, image: Image, progress: Callable[[int, int], None]) -> Awaitable[Image]:
        """Bring an image into the cache, checked; gives it with sizes and checksum filled in."""

    def delete_image(self, uid: str) -> Awaitable[None]:
        """Drop it from the cache."""

    def capture_image(self, uid: str, image: Image) -> Awaitable[Image]:
        """Make an image of a stopped instance, into the cache."""

    # -- looking inside ----------------------------------------------------------------------

    def console(self, uid: str) -> Awaitable[Channel]:
        """Attach to the serial console of a VM, the console of a zone."""

    def execute(
        self, uid: str, command: tuple[str, ...], *, terminal: bool, environment: dict[str, str]
    ) -> Awaitable[Channel]:
        """Run a command inside a running instance."""

    def logs(self, uid: str, most_bytes: int) -> Awaitable[bytes]:
        """Give the end of what it has written to its console so far."""

    def stats(self) -> Awaitable[tuple[Stats, ...]]:
        """Measure every running instance; one call a sampling interval."""

    def usage(self) -> Awaitable[HostUsage]:
        """Read the host's own figures; one call a sampling interval."""

    def close(self) -> Awaitable[None]:
        """Let go of the host; instances are left as they are."""
