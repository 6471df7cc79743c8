"""`fifo hypervisor`: hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.completing import foreign_instances, resource
from fifo.cli.kinds import columns_of, messages_of, stub_of
from fifo.cli.options import confirm, fill, guarded, mutating, pass_target, waiting
from fifo.cli.resources import add_get, add_list, add_update
from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.group(name="hypervisor")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Hosts."""


for add in (add_list, add_get, add_update):
    add(COMMAND, "hypervisor")


def changed_labels(labels: dict[str, str], changes: tuple[str, ...]) -> dict[str, str]:
    """Apply `key=value` and `key-` to labels; raises InvalidInput for anything else."""
    wanted = dict(labels)
    for change in changes:
        key, equals, value = change.partition("=")
        if equals and key:
            wanted[key] = value
        elif not equals and change.endswith("-") and len(change) > 1:
            wanted.pop(change[:-1], None)
        else:
            raise InvalidInput(change, (Violation("label", "KEY=VALUE, or KEY- to remove it"),))
    return wanted


@COMMAND.command()
@resource("hypervisor", name="host")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE|KEY-]...")
@mutating
@pass_target
def label(target: Target, host: str, changes: tuple[str, ...], **options: Any) -> None:
    """Set labels of a host, or remove them with KEY-; without any, show them."""
    from fifo.cli import output
    from fifo.cli.naming import name_of
    from fifo.cli.text import safe

    messages = messages_of("hypervisor")
    with target.client() as client:
        stub = stub_of(client, "hypervisor")
        name = name_of(client, target, "hypervisor", host)
        found = client.call(stub.GetHypervisor, messages.GetHypervisorRequest(name=name))
        if changes:
            # The etag says that nobody else's labels are lost by it.
            request = messages.UpdateHypervisorRequest()
            request.hypervisor.name, request.hypervisor.etag = found.name, found.etag
            request.hypervisor.labels.update(changed_labels(dict(found.labels), changes))
            request.update_mask.paths.append("labels")
            fill(client, request, options)
            found = client.call(stub.UpdateHypervisor, request)
        if target.output in {"table", "wide"}:
            for key, value in sorted(found.labels.items()):
                click.echo(safe(f"{key}={value}"))
        else:
            output.show_one(target.output, found, columns_of("hypervisor"))


def _verb(name: str, told: str) -> None:
    def run(target: Target, host: str, **options: Any) -> None:
        from fifo.cli import output
        from fifo.cli.naming import name_of

        with target.client() as client:
            request = getattr(messages_of("hypervisor"), f"{name.title()}HypervisorRequest")(
                name=name_of(client, target, "hypervisor", host)
            )
            if name != "probe":
                fill(client, request, options)
            method = getattr(stub_of(client, "hypervisor"), f"{name.title()}Hypervisor")
            output.show_one(target.output, client.call(method, request), columns_of("hypervisor"))

    command: Any = pass_target(run)
    if name != "probe":
        command = guarded(mutating(command))
    COMMAND.command(name=name, help=told)(resource("hypervisor", name="host")(command))


_verb("cordon", "Place no more instances on a host.")
_verb("uncordon", "Place instances on a host again.")
_verb("probe", "Have a host look again at what it can do.")


@COMMAND.command(name="adopt-foreign")
@resource("hypervisor", name="host")
@click.argument("uid", shell_complete=foreign_instances)
@click.option("--id", "instance_id", default="", metavar="ID",
              help="What it is called from now on, if not as it was.")  # fmt: skip
@waiting
@pass_target
def adopt_foreign(target: Target, host: str, uid: str, **options: Any) -> int:
    """Take an instance over, by its uid, that a host has and the store does not know."""
    return _foreign(target, "AdoptForeignInstance", host, uid, options)


@COMMAND.command(name="remove-foreign")
@resource("hypervisor", name="host")
@click.argument("uid", shell_complete=foreign_instances)
@click.option("--yes", is_flag=True, help="Do not ask.")
@waiting
@pass_target
def remove_foreign(target: Target, host: str, uid: str, *, yes: bool, **options: Any) -> int:
    """Remove an instance, by its uid, that a host has and the store does not know."""
    from fifo.cli.text import safe

    if not yes and not options["validate_only"]:
        confirm(f"Remove {safe(uid)} from {safe(host)} and all data of it?")
    return _foreign(target, "RemoveForeignInstance", host, uid, options)


def _foreign(target: Target, verb: str, host: str, uid: str, options: dict[str, Any]) -> int:
    from fifo.cli.finishing import finish
    from fifo.cli.naming import foreign_uid, name_of

    with target.client() as client:
        name = name_of(client, target, "hypervisor", host)
        whole = foreign_uid(client, name, uid)
        request = getattr(messages_of("hypervisor"), f"{verb}Request")(name=name, uid=whole)
        if options.get("instance_id"):
            request.instance_id = options["instance_id"]
        fill(client, request, options)
        method = getattr(stub_of(client, "hypervisor"), verb)
        return finish(client, target, client.call(method, request), options)
