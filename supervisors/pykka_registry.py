"""Pykka's ActorRegistry and a node's processes: opt in, or look at them as if they were in it.

Processes are not entered into `pykka.ActorRegistry` by themselves: it is one list for the whole
program, and it is walked from end to end at every change and every search (measured: 5 to 8 ms at
100,000 entries). `register` enters one process; `NodeRegistry` answers Pykka's questions about all
processes of a node from the tables the node has anyway.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import pykka

from supervisors import signals

if TYPE_CHECKING:
    from supervisors.node import Node
    from supervisors.process import Process
    from supervisors.ref import Ref

P = TypeVar("P", bound="Process")


class _Registered:
    """Takes a process out of Pykka's registry when it ends."""

    __slots__ = ()

    def fire(self, process: Ref[Any], reason: Any) -> None:
        del reason
        pykka.ActorRegistry.unregister(process)


def register(ref: Ref[Any]) -> None:
    """Enter a local process into `pykka.ActorRegistry` until it ends, from any thread.

    Call it once for each process, in `on_start` or `init` for instance; one that is dead already
    does not stay. `pykka.ActorRegistry.unregister` takes it out early.
    """
    process = ref._process
    pykka.ActorRegistry.register(ref)
    process._shard.run_on_shard(lambda: signals.watch_end(process, _Registered()))


class NodeRegistry:
    """All processes of a node with the questions of `pykka.ActorRegistry`; nothing is entered.

    May be used from any thread. `stop_all` with `block=True` is for outside the actors.
    """

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    def get_all(self) -> list[Ref[Any]]:
        """List the processes that have not ended, in the order they were started."""
        return [process.ref for process in self._processes()]

    def get_by_class(self, actor_class: type[P]) -> list[Ref[P]]:
        """List the processes of a class or its subclasses."""
        return [process.ref for process in self._processes() if isinstance(process, actor_class)]

    def get_by_class_name(self, actor_class_name: str) -> list[Ref[Any]]:
        """List the processes whose class has this very name."""
        return [
            process.ref
            for process in self._processes()
            if type(process).__name__ == actor_class_name
        ]

    def get_by_urn(self, actor_urn: str) -> Ref[Any] | None:
        """Find a process by its `actor_urn`, without a search; None if it is not here."""
        serial = actor_urn.rpartition(".")[2].rstrip(">")
        process = self._node.shard.processes.get(int(serial)) if serial.isdecimal() else None
        return process.ref if process is not None and process.actor_urn == actor_urn else None

    def broadcast(self, message: Any, target_class: str | type[pykka.Actor] | None = None) -> None:
        """Tell a message to all processes, to those of a class, or to those of a class name.

        One that ends meanwhile is passed over.
        """
        if isinstance(target_class, str):
            targets = self.get_by_class_name(target_class)
        elif target_class is not None:
            targets = self.get_by_class(target_class)
        else:
            targets = self.get_all()
        for ref in targets:
            with contextlib.suppress(pykka.ActorDeadError):
                ref.tell(message)

    def stop_all(self, *, block: bool = True, timeout: float | None = None) -> list[Any]:
        """Stop all processes, the last started first; gives what each stop gave.

        A supervised process is left to its supervisor, which stops its children in order and would
        only restart one that was stopped behind its back. So the list is of those that nobody
        supervises.
        """
        return [
            process.ref.stop(block=block, timeout=timeout)
            for process in reversed(self._processes())
            if process._parent is None or not process._parent.tracks_children
        ]

    def _processes(self) -> list[Process]:
        return list(self._node.shard.processes.values())


__all__ = ["NodeRegistry", "register"]
