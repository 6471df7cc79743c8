"""Finding out by trial what this host can do: nothing counts because it exists.

A runtime works if it has run a container of the very shape that zones have. Rules and interfaces
work if the kernel took them in a network namespace made for the trial.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.hypervisors.linux import bundle, facts, firewall, limits
from fifo.hypervisors.linux.bundle import Place
from fifo.hypervisors.linux.firewall import Guard
from fifo.hypervisors.linux.init import Init
from fifo.hypervisors.linux.layout import replace
from fifo.hypervisors.linux.runtime import CONFIG, NAMES, Runtime
from fifo.hypervisors.linux.storage import overlay
from fifo.hypervisors.linux.storage.pool import remove_tree
from fifo.model.errors import FifoError
from fifo.model.hypervisor import Probe
from fifo.model.instance import InstanceSpec

if TYPE_CHECKING:
    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.host import Facts, Host
    from fifo.hypervisors.linux.settings import Settings

SYSTEM: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr")
"""What a container needs of the host's own files to run `true`."""
TRIAL: Final = "fifo-trial"
TRIAL_UID: Final = "00000000-0000-4000-8000-000000000000"
TRIAL_MIB: Final = 64
NETNS: Final = Path("/run/netns")


class Found(NamedTuple):
    """The runtime that works, its version, and why others do not, by name."""

    runtime: Runtime | None
    version: str
    missing: dict[str, str]


async def find_runtime(run: Run, settings: Settings, known: Facts, directory: Path) -> Found:
    """Try the runtimes in order until one has run a container; `directory` is for their state."""
    missing: dict[str, str] = {}
    for name in (settings.runtime,) if settings.runtime else NAMES:
        runtime = Runtime(run, name, directory)
        try:
            version = await _version(run, name)
            await _try_runtime(run, runtime, settings, known)
        except (FifoError, OSError) as error:
            # Whoever shows it says whose it is: the name stands before it already.
            missing[name] = str(error).removeprefix(f"{name}: ")
            continue
        return Found(runtime, version, missing)
    missing["lx"] = "no OCI runtime works: " + "; ".join(
        ": ".join(each) for each in missing.items()
    )
    return Found(None, "", missing)


async def _version(run: Run, name: str) -> str:
    done = await run([name, "--version"], deadline_s=limits.PROBE_S)
    return done.stdout.decode(errors="replace").partition("\n")[0].rpartition(" ")[2]


async def _try_runtime(run: Run, runtime: Runtime, settings: Settings, known: Facts) -> None:
    scratch = settings.run_dir / f"trial-{runtime.name}"
    await remove_tree(run, scratch, limits.PROBE_S)
    trial = f"{TRIAL}-{settings.prefix}-{runtime.name}"
    # A node that was killed may have left one.
    await runtime.delete(trial)
    try:
        _write_trial(scratch, settings, known)
        done = await run(runtime.run_argv(trial, scratch), deadline_s=limits.PROBE_S)
        if done.status != 0:
            raise OSError(f"a trial container failed: {done.words}")
    finally:
        await runtime.delete(trial)
        await remove_tree(run, scratch, limits.PROBE_S)


def _write_trial(scratch: Path, settings: Settings, known: Facts) -> None:
    """Write a bundle of a zone's shape whose files are the host's own, to be read alone."""
    scratch.mkdir()
    root = scratch / "root"
    root.mkdir(mode=0o755)
    scratch.chmod(0o711)
    os.chown(root, settings.uid_base, settings.uid_base)
    place = Place(
        root=root,
        guest=scratch,
        # Beside the group of the zones, which is not there before one of them is.
        cgroup=f"{settings.cgroup}-trial",
        uid_base=settings.uid_base,
        machine=known.machine,
        swap=known.swap,
        io_weight=known.io_weight,
    )
    spec = InstanceSpec(
        uid=TRIAL_UID, id=TRIAL, org="default", generation=1, wanted="running", brand="lx",
        create_time=0.0, max_physical_memory=TRIAL_MIB, max_swap=TRIAL_MIB, cpu_cap=100,
    )  # fmt: skip
    chosen = Init(("true",), ("PATH=/usr/bin:/bin",), "/", "program", 15)
    config: dict[str, Any] = bundle.config(spec, chosen, place)
    config["process"]["terminal"] = False
    config["mounts"] = [each for each in config["mounts"] if each["type"] != "bind"]
    for name in SYSTEM:
        source = Path("/", name)
        if source.is_symlink():
            (root / name).symlink_to(source.readlink())
        elif source.is_dir():
            options = ["rbind", "ro"]
            config["mounts"].append(
                {
                    "destination": f"/{name}",
                    "type": "bind",
                    "source": f"/{name}",
                    "options": options,
                }
            )
    replace(scratch / CONFIG, msgspec.json.encode(config))


async def try_network(run: Run, prefix: str) -> dict[str, str]:
    """Make a bridge, a pair and a port's rules in a namespace of their own; say what failed."""
    name = f"{TRIAL}-{prefix}"
    missing: dict[str, str] = {}
    await _quiet(run, ["ip", "netns", "delete", name])
    why = await _quiet(run, ["ip", "netns", "add", name])
    if why:
        return {"network": f"no network namespace: {why}"}
    try:
        netns = str(NETNS / name)
        lines = "link add name b0 type bridge\nlink add name v0 type veth peer name v1\n"
        lines += "link set dev v0 master b0 up\naddr add fd00::1/64 dev b0 nodad\n"
        why = await _quiet(run, ["ip", "-batch", "-"], lines, netns)
        if why:
            missing["network"] = f"no bridge with a port: {why}"
        guard = Guard("v0", "02:00:00:00:00:01", ("10.0.0.2", "fd00::2"))
        why = await _quiet(run, ["nft", "-f", "-"], firewall.apply("trial", [guard]), netns)
        if why:
            missing["isolation"] = f"no rules for bridged frames: {why}"
    finally:
        await _quiet(run, ["ip", "netns", "delete", name])
    return missing


async def _quiet(run: Run, argv: list[str], text: str = "", netns: str | None = None) -> str:
    """Run a command and give why it failed, nothing if it did not."""
    try:
        done = await run(argv, stdin=text.encode(), deadline_s=limits.PROBE_S, netns=netns)
    except FifoError as error:
        return str(error)
    return "" if done.status == 0 else done.words


async def probe(host: Host, found: Found, brands: tuple[str, ...]) -> Probe:
    """Put together what was found; the trials of the network are made anew."""
    missing = dict(found.missing) | await try_network(host.run, host.settings.prefix)
    pool = host.storage.describe()
    if not pool.snapshots:
        missing["snapshot"] = overlay.WHY
        missing["quota"] = overlay.WHY
    if not host.facts.io_weight:
        missing["zfs_io_priority"] = "this kernel shares its disks without weights"
    if not host.facts.swap:
        missing["max_swap"] = "this kernel does not count swap"
    if not host.settings.uid_base:
        missing["user_namespaces"] = "switched off in the settings: a zone's root is the host's"
    return Probe(
        driver="linux",
        brands=brands,
        capacity=facts.capacity(pool.size_bytes),
        runtime=found.runtime.name if found.runtime else "",
        runtime_version=found.version,
        cgroups=host.facts.cgroups,
        kernel=platform.release(),
        boot_id=host.facts.boot_id,
        boot_time=facts.boot_time(facts.STAT.read_text(encoding="ascii")),
        hostname=platform.node(),
        pools=(pool,),
        nic_tags=tuple(sorted(host.settings.nic_tags)),
        missing=missing,
    )
