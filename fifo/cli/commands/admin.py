"""`fifo admin`: the node's token, store and facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.exits import UNAVAILABLE
from fifo.cli.options import archive, confirm, pass_target

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target


@click.group(name="admin")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """The node's token, store and facts."""


def stub_of(client: Client) -> Any:
    """Make the stub of the node's own service."""
    from fifo.v1 import admin_service_pb2_grpc

    return admin_service_pb2_grpc.AdminServiceStub(client.channel)


@COMMAND.group()
def token() -> None:
    """The admin token."""


@token.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_target
def reset(target: Target, *, yes: bool) -> None:
    """Make a new admin token; every older one is good no longer."""
    from fifo.cli import output
    from fifo.v1 import admin_service_pb2 as messages

    if not yes:
        confirm("Every program that uses the old token will be refused. Go on?")
    with target.client() as client:
        request = messages.ResetAdminTokenRequest(request_id=client.request_id())
        made = client.call(stub_of(client).ResetAdminToken, request)
        facts = {"token_file": made.token_file}
        output.show_done(target.output, made.token_file, "the new token is there", facts)


@COMMAND.command()
@pass_target
def info(target: Target) -> None:
    """Show the node's version, addresses, certificate and store."""
    from fifo.cli import output
    from fifo.v1 import admin_service_pb2 as messages

    with target.client() as client:
        stub = stub_of(client)
        node = client.call(stub.GetNodeInfo, messages.GetNodeInfoRequest())
        store = client.call(stub.GetStoreInfo, messages.GetStoreInfoRequest())
        told = {"node": output.as_dict(node), "store": output.as_dict(store)}
        output.show_value(target.output, told)


@COMMAND.command()
@click.argument("service", required=False, default="")
@click.option("-w", "--watch", is_flag=True, help="Go on with changes.")
@pass_target
def health(target: Target, service: str, *, watch: bool) -> int:
    """Show which services answer; ends with 6 if one does not."""
    from grpc_health.v1 import health_pb2

    from fifo.cli import output
    from fifo.cli.health import check, follow

    with target.client() as client:
        if watch:
            for status in follow(client, service):
                output.show_value(target.output, {service or "node": status})
            return 0
        told = check(client, service)
    output.show_value(target.output, told)
    serving = health_pb2.HealthCheckResponse.ServingStatus.Name(1).lower()
    return 0 if all(status == serving for status in told.values()) else UNAVAILABLE


@COMMAND.command()
@pass_target
def services(target: Target) -> None:
    """List the services that the node has, by reflection."""
    from fifo.cli import output
    from fifo.cli.health import services as listed

    with target.client() as client:
        names = listed(client)
    if target.output in {"json", "yaml"}:
        output.show_value(target.output, names)
    else:
        click.echo("\n".join(names))


@COMMAND.command()
@click.argument("file", callback=archive, type=click.Path(dir_okay=False))
@pass_target
def backup(target: Target, file: str) -> None:
    """Copy the node's store into a new file while it runs; verified before it is sent."""
    from fifo.cli.files import save
    from fifo.v1 import admin_service_pb2 as messages

    with target.client() as client:
        pieces = client.stream(stub_of(client).BackupStore, messages.BackupStoreRequest())
        save(target.output, file, pieces)
