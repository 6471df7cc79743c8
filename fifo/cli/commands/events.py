"""`fifo events`: what happened to an instance, or to all."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import click

from fifo.cli.completing import resource
from fifo.cli.options import pass_target

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.command(name="events")
@resource("instance", name="instance", required=False, default="", metavar="[INSTANCE]")
@click.option("--filter", "filter_text", default="", metavar="EXPR",
              help="Like: kind = RESTARTED")  # fmt: skip
@click.option("--limit", "-n", default=0, type=click.IntRange(min=0), metavar="N",
              help="The latest N; 0 for all.")  # fmt: skip
@click.option("-f", "--follow", "-w", "--watch", is_flag=True, help="Go on with what happens.")
@pass_target
def COMMAND(  # noqa: N802 - found by this name
    target: Target, instance: str, filter_text: str, limit: int, *, follow: bool
) -> None:
    """Tell what happened to an instance, or to all of them, in the order of time."""
    from fifo.cli import columns, output
    from fifo.cli.naming import name_of
    from fifo.v1 import event_service_pb2 as messages
    from fifo.v1 import event_service_pb2_grpc as services

    def latest(found: list[Any]) -> list[Any]:
        # They come story by story, each in its order, which stays when a clock was set back.
        until: dict[str, tuple[int, int]] = {}
        timed = []
        for own in found:
            at = (own.time.seconds, own.time.nanos)
            until[own.subject_uid] = max(at, until.get(own.subject_uid, at))
            timed.append((until[own.subject_uid], own))
        ordered = [own for _, own in sorted(timed, key=itemgetter(0))]
        return ordered[-limit:] if limit else ordered

    with target.client() as client:
        parent = name_of(client, target, "instance", instance) if instance else ""
        if follow:
            from fifo.cli.watching import watch_resources

            watch_resources(
                client, target.output, "fifo/Event", columns.EVENTS,
                parent=parent, filter_text=filter_text, first=latest,
            )  # fmt: skip
            return
        stub = services.EventServiceStub(client.channel)
        request = messages.ListEventsRequest(parent=parent, filter=filter_text)
        found = client.pages(stub.ListEvents, request, "events", limit)
        output.show(target.output, found[::-1], columns.EVENTS)
