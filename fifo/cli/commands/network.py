"""`fifo network`: networks and their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.options import mutating, pass_target
from fifo.cli.resources import (
    add_create,
    add_delete,
    add_get,
    add_list,
    add_update,
    full,
    messages_of,
    stub_of,
)

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.group(name="network")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Networks and their addresses."""


for add in (add_list, add_get, add_create, add_update, add_delete):
    add(COMMAND, "network")


@COMMAND.command()
@click.argument("network")
@pass_target
def addresses(target: Target, network: str) -> None:
    """List the addresses of a network that are taken, and by whom."""
    from fifo.cli import columns, output

    with target.client() as client:
        request = messages_of("network").ListAddressesRequest(parent=full("network", network))
        stub = stub_of(client, "network")
        found = client.pages(stub.ListAddresses, request, "addresses", 0)
        output.show(target.output, found, columns.ADDRESSES)


@COMMAND.command()
@click.argument("network")
@click.argument("address", required=False, default="")
@click.option("--ipv6", is_flag=True, help="The next free IPv6 address instead of IPv4.")
@click.option("--note", default="", help="What for.")
@mutating
@pass_target
def reserve(target: Target, network: str, address: str, **options: Any) -> None:
    """Keep an address, or the next free one, out of what instances get."""
    from fifo.cli import columns, output

    messages = messages_of("network")
    families = messages.ReserveAddressRequest.Family
    with target.client() as client:
        request = messages.ReserveAddressRequest(
            parent=full("network", network),
            address=address,
            note=options["note"],
            request_id=options["request_id"] or client.request_id(),
            validate_only=options["validate_only"],
        )
        if not address:
            request.family = families.Value("IPV6" if options["ipv6"] else "IPV4")
        made = client.call(stub_of(client, "network").ReserveAddress, request)
        output.show_one(target.output, made, columns.ADDRESSES)


@COMMAND.command()
@click.argument("network")
@click.argument("address")
@mutating
@pass_target
def release(target: Target, network: str, address: str, **options: Any) -> None:
    """Give a reserved address back."""
    with target.client() as client:
        request = messages_of("network").ReleaseAddressRequest(
            name=f"{full('network', network)}/addresses/{address}",
            request_id=options["request_id"] or client.request_id(),
            validate_only=options["validate_only"],
        )
        client.call(stub_of(client, "network").ReleaseAddress, request)
