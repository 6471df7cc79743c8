"""`fifo operation`: what runs and what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.completing import operations
from fifo.cli.options import pass_target, watching

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target


@click.group(name="operation")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """What runs and what ran."""


def _stub(client: Client) -> Any:
    from google.longrunning import operations_pb2_grpc

    return operations_pb2_grpc.OperationsStub(client.channel)  # type: ignore[no-untyped-call]


def _name(text: str) -> str:
    return text if "/" in text else f"operations/{text}"


@COMMAND.command(name="list")
@click.option("--filter", "filter_text", default="", metavar="EXPR",
              help='Like: state = RUNNING AND verb = "create"')  # fmt: skip
@click.option("--limit", default=0, type=click.IntRange(min=0), metavar="N",
              help="The latest so many; 0 for all.")  # fmt: skip
@watching
@pass_target
def list_operations(target: Target, filter_text: str, limit: int, *, watch: bool) -> None:
    """List operations of the last week, the latest first."""
    from google.longrunning import operations_pb2

    from fifo.cli import columns, output
    from fifo.cli.client import metadata_of

    with target.client() as client:
        if watch:
            from fifo.cli.watching import watch_resources

            watch_resources(
                client, target.output, "fifo/Operation", columns.OPERATIONS,
                filter_text=filter_text,
            )  # fmt: skip
            return
        request = operations_pb2.ListOperationsRequest(name="operations", filter=filter_text)
        found = client.pages(_stub(client).ListOperations, request, "operations", 0)
        found.sort(key=lambda own: metadata_of(own).create_time.ToNanoseconds(), reverse=True)
        output.show(target.output, found[:limit] if limit else found, columns.OPERATIONS)


@COMMAND.command()
@click.argument("operation", shell_complete=operations())
@pass_target
def get(target: Target, operation: str) -> None:
    """Show one operation."""
    from google.longrunning import operations_pb2

    from fifo.cli import columns, output

    with target.client() as client:
        request = operations_pb2.GetOperationRequest(name=_name(operation))
        found = client.call(_stub(client).GetOperation, request)
        output.show_one(target.output, found, columns.OPERATIONS)


@COMMAND.command()
@click.argument("operation", shell_complete=operations("done = false"))
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@pass_target
def wait(target: Target, operation: str, *, quiet: bool) -> int:
    """Wait until an operation has ended; ends with its outcome."""
    from google.longrunning import operations_pb2

    from fifo.cli.finishing import finish

    with target.client() as client:
        request = operations_pb2.GetOperationRequest(name=_name(operation))
        found = client.call(_stub(client).GetOperation, request)
        return finish(client, target, found, {"wait": True, "quiet": quiet})


@COMMAND.command()
@click.argument("operation", shell_complete=operations("done = false"))
@pass_target
def cancel(target: Target, operation: str) -> None:
    """Ask an operation to give up and undo what it did.

    A stop that is given up forces nothing; what its guest was asked cannot be taken back.
    """
    from google.longrunning import operations_pb2

    with target.client() as client:
        request = operations_pb2.CancelOperationRequest(name=_name(operation))
        client.call(_stub(client).CancelOperation, request)


@COMMAND.command()
@click.argument("operation", shell_complete=operations("done = true"))
@pass_target
def delete(target: Target, operation: str) -> None:
    """Forget an operation that has ended."""
    from google.longrunning import operations_pb2

    with target.client() as client:
        request = operations_pb2.DeleteOperationRequest(name=_name(operation))
        client.call(_stub(client).DeleteOperation, request)
