"""`fifo hypervisor`: hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.options import mutating, pass_target
from fifo.cli.resources import (
    add_get,
    add_list,
    add_update,
    columns_of,
    full,
    messages_of,
    stub_of,
)

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.group(name="hypervisor")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Hosts."""


for add in (add_list, add_get, add_update):
    add(COMMAND, "hypervisor")


def _verb(name: str, told: str) -> None:
    def run(target: Target, host: str, **options: Any) -> None:
        from fifo.cli import output

        with target.client() as client:
            request = getattr(messages_of("hypervisor"), f"{name.title()}HypervisorRequest")(
                name=full("hypervisor", host)
            )
            if name != "probe":
                request.request_id = options["request_id"] or client.request_id()
                request.validate_only = options["validate_only"]
            method = getattr(stub_of(client, "hypervisor"), f"{name.title()}Hypervisor")
            output.show_one(target.output, client.call(method, request), columns_of("hypervisor"))

    command: Any = pass_target(run)
    if name != "probe":
        command = mutating(command)
    COMMAND.command(name=name, help=told)(click.argument("host")(command))


_verb("cordon", "Place no more instances on a host.")
_verb("uncordon", "Place instances on a host again.")
_verb("probe", "Have a host look again at what it can do.")
