"""`fifo instance list`: beside what other lists do, it prints vmadm's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.kinds import columns_of, stub_of
from fifo.cli.options import VMADM, listing, pass_target_of_instances

if TYPE_CHECKING:
    from fifo.cli.target import Target


def _run(target: Target, filter_text: str, order_by: str, limit: int, *, watch: bool) -> None:
    """List instances."""
    from fifo.cli.shown import show_instances
    from fifo.v1 import instance_service_pb2 as messages

    if watch and target.output == VMADM:
        raise click.UsageError("--watch has no vmadm form; take json")
    with target.client() as client:
        if watch:
            from fifo.cli.watching import watch_resources

            watch_resources(
                client, target.output, "fifo/Instance", columns_of("instance"),
                parent=target.parent(), filter_text=filter_text,
            )  # fmt: skip
            return
        request = messages.ListInstancesRequest(
            parent=target.parent(), filter=filter_text, order_by=order_by
        )
        method = stub_of(client, "instance").ListInstances
        found: list[Any] = client.pages(method, request, "instances", limit)
        show_instances(client, target, found, alone=False)


def add_instances_list(group: click.Group) -> None:
    """Add it to its group."""
    group.command(name="list", help="List instances.")(listing(pass_target_of_instances(_run)))
