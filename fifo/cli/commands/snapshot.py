"""`fifo snapshot`: snapshots of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.completing import resource, snapshots
from fifo.cli.options import allow_missing, confirm, fill, listing, pass_target, waiting

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target


@click.group(name="snapshot")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Snapshots of instances."""


def _stub(client: Client) -> Any:
    from fifo.v1 import snapshot_service_pb2_grpc as services

    return services.SnapshotServiceStub(client.channel)


@COMMAND.command(name="list")
@resource("instance", name="instance")
@listing
@pass_target
def list_snapshots(
    target: Target, instance: str, filter_text: str, order_by: str, limit: int, *, watch: bool
) -> None:
    """List the snapshots of an instance, oldest first."""
    from fifo.cli import columns, output
    from fifo.cli.naming import name_of
    from fifo.v1 import snapshot_service_pb2 as messages

    with target.client() as client:
        parent = name_of(client, target, "instance", instance)
        if watch:
            from fifo.cli.watching import watch_resources

            watch_resources(
                client, target.output, "fifo/Snapshot", columns.SNAPSHOTS,
                parent=parent, filter_text=filter_text, first=_oldest_first,
            )  # fmt: skip
            return
        request = messages.ListSnapshotsRequest(
            parent=parent, filter=filter_text, order_by=order_by
        )
        found = client.pages(_stub(client).ListSnapshots, request, "snapshots", limit)
        output.show(target.output, found, columns.SNAPSHOTS)


def _oldest_first(found: list[Any]) -> list[Any]:
    return sorted(found, key=lambda own: (own.create_time.ToNanoseconds(), own.name))


@COMMAND.command()
@resource("instance", name="instance")
@click.argument("snapshot", shell_complete=snapshots)
@pass_target
def get(target: Target, instance: str, snapshot: str) -> None:
    """Show one snapshot."""
    from fifo.cli import columns, output
    from fifo.cli.naming import name_of
    from fifo.v1 import snapshot_service_pb2 as messages

    with target.client() as client:
        parent = name_of(client, target, "instance", instance)
        request = messages.GetSnapshotRequest(name=f"{parent}/snapshots/{snapshot}")
        found = client.call(_stub(client).GetSnapshot, request)
        output.show_one(target.output, found, columns.SNAPSHOTS)


def _change(name: str, told: str) -> None:
    def run(target: Target, instance: str, snapshot: str, **options: Any) -> int:
        from fifo.cli.finishing import finish
        from fifo.cli.naming import name_of
        from fifo.cli.text import safe
        from fifo.v1 import snapshot_service_pb2 as messages

        if name == "delete" and not options["yes"] and not options["validate_only"]:
            confirm(f"Delete the snapshot {safe(snapshot)} of {safe(instance)}?")
        with target.client() as client:
            parent = name_of(client, target, "instance", instance)
            verb = f"{name.title()}Snapshot"
            kind = getattr(messages, f"{verb}Request")
            if name == "create":
                request = kind(parent=parent, snapshot_id=snapshot)
            else:
                request = kind(name=f"{parent}/snapshots/{snapshot}")
            fill(client, request, options)
            operation = client.call(getattr(_stub(client), verb), request)
            return finish(client, target, operation, options)

    command: Any = pass_target(run)
    if name == "rollback":
        command = click.option(
            "--force", is_flag=True, help="Also where newer snapshots are lost by it."
        )(command)
    elif name == "delete":
        command = allow_missing(command)
        command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    # A new one has a name that nobody knows yet.
    known = None if name == "create" else snapshots
    command = click.argument("snapshot", shell_complete=known)(waiting(command))
    command = resource("instance", name="instance")(command)
    COMMAND.command(name=name, help=told)(command)


_change("create", "Take a snapshot of an instance.")
_change("rollback", "Put an instance back to a snapshot.")
_change("delete", "Drop a snapshot.")
