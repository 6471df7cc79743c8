"""Completion of resources' names: quick, and silent when there is nobody to ask."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fifo.cli.kinds import KINDS, messages_of, stub_of
from fifo.cli.target import Target
from fifo.model.errors import FifoError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.client import Client

CONNECT_S: Final = 0.3
"""A server that takes longer is not asked: a shell that hangs is worse than one that knows less."""
ANSWER_S: Final = 1.0
MOST: Final = 200
"""Names offered; nobody reads more."""


def names(word: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Make the completion of a kind of resource; called by click in the shell's process."""
    return _quietly(lambda client, _: _listed(client, word, client.target.parent()))


def operations(filter_text: str = "") -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Make the completion of operations, of those that a filter finds."""

    def ask(client: Client, ctx: click.Context) -> Any:
        from google.longrunning import operations_pb2, operations_pb2_grpc

        del ctx
        stub = operations_pb2_grpc.OperationsStub(client.channel)  # type: ignore[no-untyped-call]
        request = operations_pb2.ListOperationsRequest(name="operations", filter=filter_text)
        return client.call(stub.ListOperations, request).operations

    return _quietly(ask)


def snapshots(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the snapshots of the instance that stands before; called by click."""

    def ask(client: Client, ctx: click.Context) -> Any:
        from fifo.cli.naming import name_of
        from fifo.v1 import snapshot_service_pb2, snapshot_service_pb2_grpc

        instance = ctx.params.get("instance")
        if not instance:
            return ()
        parent = name_of(client, client.target, "instance", instance)
        stub = snapshot_service_pb2_grpc.SnapshotServiceStub(client.channel)
        request = snapshot_service_pb2.ListSnapshotsRequest(parent=parent)
        return client.call(stub.ListSnapshots, request).snapshots

    return _quietly(ask)(ctx, param, incomplete)


def foreign_instances(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the foreign instances of the host that stands before; called by click."""

    def ask(client: Client, ctx: click.Context) -> Any:
        from fifo.cli.naming import foreign_uids, name_of

        if not (host := ctx.params.get("host")):
            return ()
        return foreign_uids(client, name_of(client, client.target, "hypervisor", host))

    return _quietly(ask)(ctx, param, incomplete)


def _quietly(
    ask: Callable[[Client, click.Context], Any],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        del param
        # Whatever is wrong, a shell has no use for it: the command itself will tell.
        try:
            return _ask(_target(ctx), lambda client: ask(client, ctx), incomplete)
        except (FifoError, OSError, ValueError):
            return []

    return complete


def resource(word: str, **options: Any) -> Callable[[Any], Any]:
    """Add the argument that names a resource of a kind."""
    several = "..." if options.get("nargs") == -1 else ""
    options.setdefault("metavar", f"{word.upper()}{several}")
    name = options.pop("name", "name")
    return click.argument(name, shell_complete=names(word), **options)


def _target(ctx: click.Context) -> Target:
    """Read the options before the command, which are not applied while a shell completes."""
    given = ctx.find_root().params

    def value(name: str, variable: str) -> str | None:
        return given.get(name) or os.environ.get(variable) or None

    return Target(
        server=value("server", "FIFO_SERVER"),
        ca_file=value("ca", "FIFO_CA"),
        token_file=value("token_file", "FIFO_TOKEN_FILE"),
        output="name",
        org=value("org", "FIFO_ORG") or "default",
        timeout_s=ANSWER_S,
    )


def _reachable(address: str) -> bool:
    """Try the address before gRPC is imported, which alone takes longer than this."""
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if not Path(path).exists():
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(CONNECT_S)
            probe.connect(path)
        return True
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    return True


def _ask(target: Target, ask: Callable[[Client], Any], incomplete: str) -> list[str]:
    if not _reachable(target.address()):
        return []
    import grpc

    with target.client() as client:
        try:
            found = ask(client)
        except grpc.RpcError:
            return []
    own = [one if isinstance(one, str) else one.name.rpartition("/")[2] for one in found]
    return [name for name in own if name.startswith(incomplete)][:MOST]


def _listed(client: Client, word: str, parent: str) -> Any:
    kind = KINDS[word]
    request = getattr(messages_of(word), f"List{kind.title}sRequest")(page_size=1000)
    request.read_mask.paths.append("name")
    if kind.of_org:
        request.parent = parent
    reply = client.call(getattr(stub_of(client, word), f"List{kind.title}s"), request)
    return getattr(reply, kind.plural)
