"""The floors of the house: what each package stands on, and what is kept out of its rooms.

An import may only point down. What a package stands on it may import, and what that stands on too;
nothing else of ours. A package that is not in STANDS_ON does not belong to the house yet.
"""

from __future__ import annotations

import ast
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from tests.house.source import Violation, imports, names_used, parse, within

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ground floor first. The lines of a floor do not see each other.
STANDS_ON: dict[str, tuple[str, ...]] = {
    "supervisors": (),
    "fifo.model": (),
    "fifo.v1": (),
    "fifo.node.v1": (),
    "fifo.store": ("supervisors", "fifo.model", "fifo.v1", "fifo.node.v1"),
    "fifo.hypervisors": ("fifo.model",),
    "fifo.telemetry": ("fifo.model",),
    "fifo.security": ("fifo.model",),
    "fifo.workflows": ("supervisors", "fifo.store"),
    "fifo.node": ("supervisors", "fifo.store"),
    "fifo.fleet": ("fifo.workflows", "fifo.node", "fifo.telemetry"),
    "fifo.agent": ("fifo.workflows", "fifo.node", "fifo.telemetry", "fifo.hypervisors"),
    "fifo.api": ("fifo.fleet", "fifo.agent", "fifo.security"),
    "fifo.web": ("fifo.fleet", "fifo.agent", "fifo.security"),
    "fifo.cli": ("fifo.api", "fifo.web"),
}
# Only what stands at the edge speaks protobuf, wherever else the floors would let it.
SPEAKS_PROTOBUF = {
    "fifo.v1": ("fifo.api", "fifo.web", "fifo.cli"),
    "fifo.node.v1": ("fifo.node",),
}
# Not of the house: they may look at everything, and nothing in it may look at them.
OUTSIDE = ("tests", "benchmarks")


class Room(NamedTuple):
    """Modules (paths, or directories with all below) that do not import some modules, and why."""

    paths: frozenset[PurePosixPath]
    kept_out: tuple[str, ...]
    reason: str
    # Exact names that are let in all the same.
    let_in: frozenset[str] = frozenset()
    # Below these path parts the rule does not hold: where the room meets the world.
    doors: frozenset[str] = frozenset()


SCHEDULER_CORE = frozenset(
    PurePosixPath("supervisors") / name
    for name in (
        "backoff.py",
        "breaker.py",
        "child.py",
        "dynamic_supervisor.py",
        "ending.py",
        "fencing.py",
        "gen_server.py",
        "groups.py",
        "idleness.py",
        "intensity.py",
        "parking.py",
        "passivation.py",
        "passivator.py",
        "process.py",
        "registry.py",
        "remote/frames.py",
        "remote/payloads.py",
        "remote/peer_link.py",
        "remote/transport.py",
        "requests.py",
        "results.py",
        "shard.py",
        "signals.py",
        "starting.py",
        "state_machine/actions.py",
        "state_machine/alarms.py",
        "state_machine/callbacks.py",
        "state_machine/events.py",
        "state_machine/machine.py",
        "state_machine/stepping.py",
        "state_machine/transitions.py",
        "supervising.py",
        "supervisor.py",
        "system.py",
        "task.py",
        "timers.py",
        "turns.py",
    )
)
CLOCKS_AND_THREADS = ("asyncio", "_thread", "random", "threading", "time", "uuid")
ROOMS = (
    Room(
        SCHEDULER_CORE,
        (*CLOCKS_AND_THREADS, "multiprocessing", "select", "selectors", "socket", "subprocess"),
        "the scheduler core is hosted: its host hands it clock, randomness and wake-ups",
        let_in=frozenset({"_thread.get_ident"}),
    ),
    Room(
        frozenset(
            PurePosixPath("fifo", name)
            for name in ("workflows", "fleet", "agent", "hypervisors/simulated")
        ),
        (*CLOCKS_AND_THREADS, "multiprocessing", "select", "selectors", "socket", "subprocess"),
        "it replays from a seed: it awaits only what supervisors gives and is handed clock and ids",
        doors=frozenset({"io", "io.py"}),
    ),
    Room(
        frozenset({PurePosixPath("fifo/model")}),
        (*CLOCKS_AND_THREADS, "google.protobuf", "grpc", "socket", "sqlite3", "subprocess"),
        "the model is functions of values",
    ),
)

# The one module that may touch what Pykka keeps private, and the names that are unmistakably its.
PYKKA_ADAPTER = PurePosixPath("supervisors/_pykka.py")
PYKKA_PRIVATE = frozenset(
    {
        "_actor_loop",
        "_actor_loop_running",
        "_actor_loop_setup",
        "_actor_loop_teardown",
        "_actor_ref",
        "_actor_refs",
        "_actor_refs_lock",
        "_actor_weakref",
        "_create_actor_inbox",
        "_create_future",
        "_get_hook",
        "_get_hook_result",
        "_handle_failure",
        "_handle_receive",
        "_start_actor_loop",
    }
)


def below(package: str) -> frozenset[str]:
    """Return all that `package` stands on, down to the ground."""
    direct = STANDS_ON[package]
    return frozenset(direct).union(*(below(floor) for floor in direct))


def floor_of(name: str) -> str | None:
    """Return the longest package of the table that the dotted `name` is in, None if in none."""
    return max((p for p in STANDS_ON if within(name, p)), key=len, default=None)


def imports_point_down(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse an import that points up or sideways, and a package that has no floor."""
    if path.parts[0] in OUTSIDE:
        return
    here = ".".join(path.with_suffix("").parts)
    floor = floor_of(here)
    if floor is None and here not in {"fifo.__init__", "fifo.__main__"}:
        yield Violation(path, 1, "this package is on no floor: put it into STANDS_ON")
        return
    # The two modules of `fifo` itself: the package says nothing, its program starts the command.
    roof = {"fifo.__init__": frozenset[str](), "fifo.__main__": frozenset({"fifo.cli"})}
    allowed = below(floor) | {floor} if floor else roof[here]
    for found in imports(path, text):
        if found.target.partition(".")[0] not in {"supervisors", "fifo", *OUTSIDE}:
            continue
        other = floor_of(found.target)
        if other is None or other not in allowed:
            yield Violation(
                path,
                found.line,
                f"{floor or here} does not stand on {found.target}: an import may only point down",
            )
        elif other != floor and floor not in SPEAKS_PROTOBUF.get(other, (floor,)):
            yield Violation(
                path, found.line, f"{floor} does not speak {other}: protobuf stays at the edges"
            )


def rooms_are_kept(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse clocks, threads, randomness and I/O where the code has to be deterministic.

    An import for annotations alone (`if TYPE_CHECKING:`) brings nothing in and is allowed.
    """
    for room in ROOMS:
        if room.doors.intersection(path.parts) or not room.paths.intersection(
            (path, *path.parents)
        ):
            continue
        for found in imports(path, text):
            if (
                not found.for_types_only
                and found.target not in room.let_in
                and any(within(found.target, module) for module in room.kept_out)
            ):
                yield Violation(path, found.line, f"import of {found.target}: {room.reason}")


def pykka_stays_private(path: PurePosixPath, text: str) -> Iterator[Violation]:
    """Refuse Pykka's private modules and names outside the one adapter module."""
    if path == PYKKA_ADAPTER or path.parts[0] in OUTSIDE:
        return
    message = f"is Pykka's own: only {PYKKA_ADAPTER} may touch it"
    for line, name in names_used(path, text):
        if within(name, "pykka") and any(_is_private(part) for part in name.split(".")):
            yield Violation(path, line, f"{name} {message}")
    for node in ast.walk(parse(text)):
        match node:
            case ast.Attribute(attr=name) | ast.FunctionDef(name=name) if name in PYKKA_PRIVATE:
                yield Violation(path, node.lineno, f"{name} {message}")
            case _:
                pass


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


RULES = (imports_point_down, rooms_are_kept, pykka_stays_private)
