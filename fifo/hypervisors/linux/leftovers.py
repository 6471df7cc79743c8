"""Everything on the host that is ours: what a test or an operator finds when something is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fifo.hypervisors.linux import cgroups, firewall, interfaces, limits, mounting, reboot
from fifo.hypervisors.linux.bridges import links

if TYPE_CHECKING:
    from pathlib import Path

    from fifo.hypervisors.linux.commands import Run
    from fifo.hypervisors.linux.settings import Settings


class Leftovers(NamedTuple):
    """What there is, by kind; all empty when nothing of ours is left."""

    links: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()

    @property
    def none(self) -> bool:
        """Whether nothing is left."""
        return not any(self)


async def leftovers(run: Run, settings: Settings) -> Leftovers:
    """Look for everything that carries this node's prefix or is below its directories.

    Images in the cache are not counted: they are meant to stay.
    """
    table = await run(
        ["nft", "list", "table", "bridge", settings.table], deadline_s=limits.COMMAND_S
    )
    chains = firewall.chains(table.stdout.decode(errors="replace"))
    state, runtime = settings.state_dir, settings.run_dir / "runtime"
    groups = [each for each in reboot.below(settings.cgroup) if any(cgroups.paths(each))]
    return Leftovers(
        links=tuple(name for name in links() if interfaces.is_ours(settings.prefix, name)),
        rules=(*chains, *([settings.table] if table.status == 0 else [])),
        cgroups=tuple(groups),
        mounts=tuple(map(str, mounting.mounted_below(state))),
        containers=_names(runtime),
        directories=_names(state / "instances"),
        sockets=_names(settings.run_dir / "vm"),
    )


def _names(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in directory.glob("*")))
