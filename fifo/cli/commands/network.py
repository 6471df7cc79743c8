"""`fifo network`: networks and their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.completing import resource
from fifo.cli.kinds import messages_of, stub_of
from fifo.cli.options import fill, listing, mutating, pass_target
from fifo.cli.resources import add_create, add_delete, add_get, add_list, add_update

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.group(name="network")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Networks and their addresses."""


for add in (add_list, add_get, add_create, add_update, add_delete):
    add(COMMAND, "network")


@COMMAND.command()
@resource("network", name="network")
@listing
@pass_target
def addresses(
    target: Target, network: str, filter_text: str, order_by: str, limit: int, *, watch: bool
) -> None:
    """List the addresses of a network that are taken, and by whom."""
    from fifo.cli import columns, output
    from fifo.cli.naming import name_of

    with target.client() as client:
        parent = name_of(client, target, "network", network)
        if watch:
            from fifo.cli.watching import watch_resources

            watch_resources(
                client, target.output, "fifo/Address", columns.ADDRESSES,
                parent=parent, filter_text=filter_text,
            )  # fmt: skip
            return
        request = messages_of("network").ListAddressesRequest(
            parent=parent, filter=filter_text, order_by=order_by
        )
        stub = stub_of(client, "network")
        found = client.pages(stub.ListAddresses, request, "addresses", limit)
        output.show(target.output, found, columns.ADDRESSES)


@COMMAND.command()
@resource("network", name="network")
@click.argument("address", required=False, default="")
@click.option("--ipv6", is_flag=True, help="The next free IPv6 address instead of IPv4.")
@click.option("--note", default="", help="What for.")
@mutating
@pass_target
def reserve(target: Target, network: str, address: str, **options: Any) -> None:
    """Keep an address, or the next free one, out of what instances get."""
    from fifo.cli import columns, output
    from fifo.cli.naming import name_of

    messages = messages_of("network")
    families = messages.ReserveAddressRequest.Family
    with target.client() as client:
        request = messages.ReserveAddressRequest(
            parent=name_of(client, target, "network", network),
            address=address,
            note=options["note"],
        )
        fill(client, request, options)
        if not address:
            request.family = families.Value("IPV6" if options["ipv6"] else "IPV4")
        made = client.call(stub_of(client, "network").ReserveAddress, request)
        output.show_one(target.output, made, columns.ADDRESSES)


@COMMAND.command()
@resource("network", name="network")
@click.argument("address")
@mutating
@pass_target
def release(target: Target, network: str, address: str, **options: Any) -> None:
    """Give a reserved address back."""
    from fifo.cli.naming import name_of

    with target.client() as client:
        parent = name_of(client, target, "network", network)
        request = messages_of("network").ReleaseAddressRequest(name=f"{parent}/addresses/{address}")
        fill(client, request, options)
        client.call(stub_of(client, "network").ReleaseAddress, request)
