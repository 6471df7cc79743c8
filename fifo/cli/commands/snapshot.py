"""`fifo snapshot`: snapshots of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.options import pass_target, waiting

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.group(name="snapshot")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Snapshots of instances."""


@COMMAND.command(name="list")
@click.argument("instance")
@pass_target
def list_snapshots(target: Target, instance: str) -> None:
    """List the snapshots of an instance, oldest first."""
    from fifo.cli import columns, output
    from fifo.cli.commands.instance import name_of
    from fifo.v1 import snapshot_service_pb2 as messages
    from fifo.v1 import snapshot_service_pb2_grpc as services

    with target.client() as client:
        stub = services.SnapshotServiceStub(client.channel)
        request = messages.ListSnapshotsRequest(parent=name_of(client, target, instance))
        found = client.pages(stub.ListSnapshots, request, "snapshots", 0)
        output.show(target.output, found, columns.SNAPSHOTS)


def _change(name: str, told: str) -> None:
    def run(target: Target, instance: str, snapshot: str, **options: Any) -> int:
        from fifo.cli.commands.instance import name_of
        from fifo.cli.finishing import finish
        from fifo.v1 import snapshot_service_pb2 as messages
        from fifo.v1 import snapshot_service_pb2_grpc as services

        with target.client() as client:
            stub = services.SnapshotServiceStub(client.channel)
            parent = name_of(client, target, instance)
            common = {
                "request_id": options["request_id"] or client.request_id(),
                "validate_only": options["validate_only"],
            }
            verb = f"{name.title()}Snapshot"
            kind = getattr(messages, f"{verb}Request")
            if name == "create":
                request = kind(parent=parent, snapshot_id=snapshot, **common)
            else:
                request = kind(name=f"{parent}/snapshots/{snapshot}", **common)
            if options.get("force"):
                request.force = True
            operation = client.call(getattr(stub, verb), request)
            wait = options["wait"] and not options["validate_only"]
            return finish(client, target, operation, wait=wait, quiet=options["quiet"])

    command: Any = pass_target(run)
    if name == "rollback":
        command = click.option(
            "--force", is_flag=True, help="Also where newer snapshots are lost by it."
        )(command)
    command = click.argument("snapshot")(waiting(command))
    COMMAND.command(name=name, help=told)(click.argument("instance")(command))


_change("create", "Take a snapshot of an instance.")
_change("rollback", "Put an instance back to a snapshot.")
_change("delete", "Drop a snapshot.")
