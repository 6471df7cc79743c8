"""Code that gets stuck, one of each kind that a user writes, and what makes it run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from supervisors import (
    IGNORE,
    SIMPLE_ONE_FOR_ONE,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    GenServer,
    Process,
    Supervisor,
    start_child,
    system,
)
from supervisors.breaker import CircuitBreaker
from supervisors.deadline import within
from supervisors.passivation import PassiveRegistry
from supervisors.passivator import Passivator
from supervisors.task import TaskSupervisor, run_task_nolink, stream_tasks
from tests.supervisors.stuck_processes import (
    AsyncMachine,
    AsyncServer,
    Awaiting,
    Booting,
    Hooks,
    Machine,
    Server,
    Shelf,
    Starter,
    Stored,
    Trapping,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.supervisors.stuck import Snag, StuckWorld


def mapped(verb: str) -> Callable[[StuckWorld], Any]:
    """Await what a function makes of another future's value."""

    def cause(scene: StuckWorld) -> None:
        def make(value: Any, *_: Any) -> Any:
            scene.snag()
            return value

        async def work(server: Any) -> None:
            server.snag = None
            source = server.node.start(GenServer)
            if verb == "map":
                await source.map(make)
            elif verb == "join":
                await source.join(source.map(make))
            else:
                items = source.map(lambda ref: [ref, ref])
                await getattr(items, verb)(make)

        Awaiting.start().cast(work)

    return cause


def awaited(work: Callable[[Any, Snag], Any]) -> Callable[[StuckWorld], Any]:
    """Run a coroutine function in a handler."""
    return lambda scene: Awaiting.start().cast(lambda server: work(server, scene.snag))


async def body(snag: Snag) -> None:
    await asyncio.sleep(0)
    snag()


async def breaking(snag: Snag) -> None:
    await CircuitBreaker("test").call(lambda: body(snag))


async def streaming(server: Any, snag: Snag, items: Any) -> None:
    supervisor = await server.node.start(TaskSupervisor)
    async for _ in stream_tasks(supervisor, snag, items):
        pass


def sticky(snag: Snag) -> Iterator[int]:
    snag()
    yield 1


def a_task(function: Callable[[Snag], Any]) -> Callable[[StuckWorld], Any]:
    def cause(scene: StuckWorld) -> Any:
        supervisor = scene.world.start(TaskSupervisor)
        return run_task_nolink(supervisor, function, scene.snag)

    return cause


def starting_by(function: Callable[[Snag], Any]) -> Callable[[StuckWorld], Any]:
    """Start a supervisor whose child has a start function."""
    return lambda scene: scene.node.start(
        Supervisor, Flags(), [ChildSpec("child", (lambda _: function(scene.snag),))]
    )


def start_now(snag: Snag) -> Any:
    snag()
    return IGNORE


async def start_later(snag: Snag) -> Any:
    await asyncio.sleep(0)
    snag()
    return IGNORE


def naming(scene: StuckWorld) -> Any:
    spec = ChildSpec("child", (GenServer,), name=lambda *_: scene.snag())
    supervisor = scene.world.start(DynamicSupervisor, Flags(SIMPLE_ONE_FOR_ONE), [spec])
    return start_child(supervisor)


def in_tree(scene: StuckWorld) -> Any:
    """Stop a child through its supervisor."""
    specs = [ChildSpec("child", (Trapping, (scene.snag, "terminate")))]
    scene.world.start(Supervisor, Flags(), specs).stop(block=False)


def hearing_an_exit(scene: StuckWorld) -> Any:
    trapping = scene.world.start(Trapping, scene.snag, "handle_exit")
    trapping.exit("why")


def suspended_child(scene: StuckWorld) -> Any:
    """Stop a suspended child, which then terminates without being resumed."""
    specs = [ChildSpec("child", (Trapping, (scene.snag, "terminate")), name="child")]
    supervisor = scene.world.start(Supervisor, Flags(), specs)
    scene.world.wait(system.suspend("child"))
    supervisor.stop(block=False)


def waking(scene: StuckWorld) -> Any:
    server = scene.world.start(Server, scene.snag, "on_wake")
    server.cast("hibernate")
    scene.world.settle()
    server.cast("wake")


def changing(scene: StuckWorld) -> Any:
    return system.change_code(scene.world.start(Machine, scene.snag, "code_change"), Machine)


def replacing(scene: StuckWorld) -> Any:
    machine = scene.world.start(Machine, scene.snag, "nowhere")

    def replace(state: Any, data: Any) -> Any:
        scene.snag()
        return state, data

    return system.replace_state(machine, replace)


def showing(scene: StuckWorld) -> Any:
    return system.get_status(scene.world.start(Machine, scene.snag, "format_status"))


def passive(where: str) -> Callable[[StuckWorld], Any]:
    def cause(scene: StuckWorld) -> Any:
        shelf: Any = Shelf()
        if where in {"load", "save"}:
            setattr(shelf, where, scene.snag)
        kind = type("Stuck", (Stored,), {"snag": scene.snag, "where": where})
        table = PassiveRegistry(kind, shelf)
        scene.world.start(Passivator, table)
        table.ref("it").cast("away")

    return cause


def started(kind: type[Process], where: str) -> Callable[[StuckWorld], Any]:
    """Start a process that is stuck on its way."""
    return lambda scene: scene.node.start(kind, scene.snag, where)


def ending(kind: type[Process], where: str) -> Callable[[StuckWorld], Any]:
    """Start a process that is stuck when its start has been answered."""

    def cause(scene: StuckWorld) -> None:
        scene.node.start(kind, scene.snag, where)

    return cause


def hooked(hook: str, do: Callable[[Any], Any] = id) -> Callable[[StuckWorld], None]:
    """Start a Pykka actor that is stuck in a hook, and do something with its ref."""

    def cause(scene: StuckWorld) -> None:
        do(Hooks.start(scene.snag, hook))

    return cause


def called(kind: type[Process], where: str, message: str) -> Callable[[StuckWorld], Any]:
    """Call a process that is stuck in what that leads to."""
    return lambda scene: scene.world.start(kind, scene.snag, where).call(message)


def cast(kind: type[Process], where: str, message: str = "cast") -> Callable[[StuckWorld], Any]:
    """Send a process a message."""
    return lambda scene: scene.world.start(kind, scene.snag, where).cast(message)


KINDS: Final[dict[str, Callable[[StuckWorld], Any]]] = {
    "on_start": hooked("on_start"),
    "on_receive, told": hooked("on_receive", lambda ref: ref.tell("tell")),
    "on_receive, asked": lambda scene: Hooks.start(scene.snag, "on_receive").ask(1, block=False),
    "a method": lambda scene: Hooks.start(scene.snag, "method").proxy().method(),
    "an async method": lambda s: Hooks.start(s.snag, "method").proxy().coroutine_method(),
    "on_stop": hooked("on_stop", lambda ref: ref.stop(block=False)),
    "on_failure": hooked("on_failure", lambda ref: ref.tell("crash")),
    "init": started(Server, "init"),
    "an async init": started(AsyncServer, "init"),
    "an async init, later": started(AsyncServer, "init later"),
    "an init within another's turn": lambda scene: Starter.start().cast(scene.snag),
    "handle_call": called(Server, "handle_call", "call"),
    "an async handle_call": called(AsyncServer, "handle_call", "call"),
    "handle_cast": cast(Server, "handle_cast"),
    "handle_info": lambda s: s.world.start(Server, s.snag, "handle_info").send("info"),
    "handle_exit": hearing_an_exit,
    "handle_continue": ending(Server, "handle_continue"),
    "on_hibernate": cast(Server, "on_hibernate", "hibernate"),
    "on_wake": waking,
    **{
        f"{where} of {kind.__name__} after {message}": called(kind, where, message)
        for kind, where in (
            (Server, "terminate"), (AsyncServer, "terminate"), (AsyncServer, "terminate later"),
        )
        for message in ("stop", "reply", "crash")
    },
    "terminate, of a child": in_tree,
    "terminate, of a suspended child": suspended_child,
    "a machine's init": started(Machine, "init"),
    "a machine's async init": started(AsyncMachine, "init"),
    "a state": called(Machine, "state", "event"),
    "an async state": cast(AsyncMachine, "event"),
    "a state enter call": ending(Machine, "enter"),
    "format_status, at a crash": called(Machine, "format_status", "crash"),
    "format_status, asked for": showing,
    "code_change": changing,
    "a replacement of a state": replacing,
    "a supervisor's init": lambda scene: scene.node.start(Booting, scene.snag),
    "a start function": starting_by(start_now),
    "an async start function": starting_by(start_later),
    "an init within a start function": starting_by(lambda snag: Server.start(snag, "init")),
    "a name function": naming,
    **{f"a future's {verb}": mapped(verb) for verb in ("map", "filter", "reduce", "join")},
    "what has a deadline": awaited(lambda _, snag: within(9, body(snag))),
    "what a breaker guards": awaited(lambda _, snag: breaking(snag)),
    "a task": a_task(lambda snag: snag()),
    "an async task": a_task(body),
    "the items of a stream": awaited(lambda server, s: streaming(server, s, sticky(s))),
    **{f"a passive {where}": passive(where) for where in ("load", "init", "dump", "save")},
}  # fmt: skip
"""Each gives what somebody waits for meanwhile, or None."""
