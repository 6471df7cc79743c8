"""What the contract tests run on: stock `pykka.ThreadingActor`, and `Process` under each host.

A contract test is written against Pykka's documentation alone: it extends `pykka.Actor`, is given
a runtime, and waits only through `get`, `stop` and `Runtime.settle`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pykka

from supervisors import Future, Process
from tests.supervisors.world import REAL_PATIENCE_S, WORLDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.supervisors.world import World


class Calls:
    """A function that counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.count = 0

    def __call__(self, *args: Any) -> Any:
        self.count += 1
        return self.function(*args)


class Runtime:
    """One way to run actors; `logger` is the name of the logger that its own code writes to."""

    actor_class: type[pykka.Actor]
    future_class: type[pykka.Future[Any]]
    logger: str

    def actor(self, behaviour: Callable[..., pykka.Actor]) -> Any:
        """Make a class of a behaviour (a subclass of `pykka.Actor`) that can be started here."""
        bases: tuple[Any, ...] = (behaviour, self.actor_class)
        return type(bases[0].__name__, bases, {})

    def start(self, behaviour: Callable[..., pykka.Actor], *args: Any, **kwargs: Any) -> Any:
        """Start an actor with a behaviour and give its ref."""
        return self.actor(behaviour).start(*args, **kwargs)

    def future(self) -> Any:
        """Make a future by hand."""
        return self.future_class()

    def settle(self, event: threading.Event) -> None:
        """Let the actors run until the event is set."""
        raise NotImplementedError

    def end(self, ref: Any) -> None:
        """Let the actor end by itself, with all its hooks."""
        assert ref.actor_stopped.wait(REAL_PATIENCE_S)

    def close(self) -> None:
        """Stop what runs."""


class StockRuntime(Runtime):
    """Pykka itself."""

    actor_class = pykka.ThreadingActor
    future_class = pykka.ThreadingFuture
    logger = "pykka"

    def settle(self, event: threading.Event) -> None:
        assert event.wait(REAL_PATIENCE_S)

    def end(self, ref: Any) -> None:
        super().end(ref)
        for thread in threading.enumerate():  # Pykka's own flag is up before the last hook has run
            if thread.name.startswith(f"{ref.actor_class.__name__}-"):
                thread.join(REAL_PATIENCE_S)

    def close(self) -> None:
        pykka.ActorRegistry.stop_all(timeout=REAL_PATIENCE_S)


class ProcessRuntime(Runtime):
    """Processes of a node under one host."""

    actor_class = Process
    future_class = Future
    logger = "supervisors"

    def __init__(self, world: World) -> None:
        self.world = world

    def settle(self, event: threading.Event) -> None:
        self.world.settle()
        assert event.is_set()

    def close(self) -> None:
        self.world.close()


STOCK = "pykka"
RUNTIMES = (STOCK, *sorted(WORLDS))
