"""`fifo events`: what happened to an instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fifo.cli.options import pass_target

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.command(name="events")
@click.argument("instance")
@click.option("--limit", default=0, type=click.IntRange(min=0), help="The latest N; 0 for all.")
@pass_target
def COMMAND(target: Target, instance: str, limit: int) -> None:  # noqa: N802 - found by this name
    """Tell what happened to an instance, in the order of time."""
    from fifo.cli import columns, output
    from fifo.cli.commands.instance import name_of
    from fifo.v1 import event_service_pb2 as messages
    from fifo.v1 import event_service_pb2_grpc as services

    with target.client() as client:
        stub = services.EventServiceStub(client.channel)
        request = messages.ListEventsRequest(parent=name_of(client, target, instance))
        found = client.pages(stub.ListEvents, request, "events", limit)
        output.show(target.output, found[::-1], columns.EVENTS)
