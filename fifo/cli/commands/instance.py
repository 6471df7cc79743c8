"""`fifo instance`: zones and virtual machines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from fifo.cli.options import listing, pass_target, waiting

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target


@click.group(name="instance")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Zones and virtual machines."""


def name_of(client: Client, target: Target, text: str) -> str:
    """Give an instance's whole name; the beginning of a uid will do."""
    from fifo.v1 import instance_service_pb2 as messages
    from fifo.v1 import instance_service_pb2_grpc as services

    def find(uid: str) -> list[str]:
        stub = services.InstanceServiceStub(client.channel)
        request = messages.ListInstancesRequest(
            parent=target.parent(), filter=f'uid = "{uid}*"', page_size=10
        )
        return [own.name for own in client.call(stub.ListInstances, request).instances]

    return client.resolve(target.instance(text), find)


@COMMAND.command(name="list")
@listing
@click.option("-w", "--watch", is_flag=True, help="Show changes as they happen.")
@pass_target
def list_instances(
    target: Target, filter_text: str, order_by: str, limit: int, *, watch: bool
) -> None:
    """List instances."""
    from fifo.cli import columns, output
    from fifo.cli.watching import watch_resources
    from fifo.v1 import instance_pb2
    from fifo.v1 import instance_service_pb2 as messages
    from fifo.v1 import instance_service_pb2_grpc as services

    with target.client() as client:
        if watch:
            watch_resources(
                client, target, "fifo/Instance", instance_pb2.Instance, columns.INSTANCES,
                filter_text=filter_text,
            )  # fmt: skip
            return
        request = messages.ListInstancesRequest(
            parent=target.parent(), filter=filter_text, order_by=order_by
        )
        stub = services.InstanceServiceStub(client.channel)
        found = client.pages(stub.ListInstances, request, "instances", limit)
        output.show(target.output, found, columns.INSTANCES)


@COMMAND.command()
@click.argument("instance")
@pass_target
def get(target: Target, instance: str) -> None:
    """Show one instance: its wish, its state and why."""
    from fifo.cli import columns, output
    from fifo.v1 import instance_service_pb2 as messages
    from fifo.v1 import instance_service_pb2_grpc as services

    with target.client() as client:
        stub = services.InstanceServiceStub(client.channel)
        request = messages.GetInstanceRequest(name=name_of(client, target, instance))
        output.show_one(target.output, client.call(stub.GetInstance, request), columns.INSTANCES)


@COMMAND.command()
@click.argument("instance", required=False, default="")
@click.option("-f", "--file", "files", multiple=True, metavar="FILE", type=click.Path(),
              help="A vmadm payload as it is, - for standard input; several make a batch."
              )  # fmt: skip
@click.option("--brand", type=click.Choice(["lx", "kvm"]), default=None, help="Zone or VM.")
@click.option("--image", default="", help="The image it is made from.")
@click.option("--package", default="", help="The size it has.")
@click.option("--network", "networks", multiple=True, help="A network it is on; several times.")
@click.option("--memory", "memory", type=click.IntRange(min=16), default=None, metavar="MIB",
              help="Memory.")  # fmt: skip
@click.option("--alias", default="", help="Display text.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE",
              help="Any other field of the instance, in JSON.")  # fmt: skip
@waiting
@pass_target
def create(target: Target, instance: str, files: tuple[str, ...], **options: Any) -> int:
    """Create an instance, or as many as files are given."""
    from fifo.cli.creating import create_batch, create_one

    with target.client() as client:
        if len(files) > 1:
            return create_batch(client, target, files, options)
        return create_one(client, target, instance, files, options)


@COMMAND.command()
@click.argument("instance")
@click.argument("settings", nargs=-1, required=True, metavar="FIELD=VALUE...")
@waiting
@pass_target
def update(
    target: Target, instance: str, settings: tuple[str, ...], *, wait: bool, quiet: bool,
    validate_only: bool, request_id: str,
) -> int:  # fmt: skip
    """Change fields of an instance; says what takes effect at once and what at the next boot."""
    from fifo.cli.creating import instance_from
    from fifo.cli.finishing import finish
    from fifo.v1 import instance_service_pb2 as messages
    from fifo.v1 import instance_service_pb2_grpc as services

    with target.client() as client:
        changed, fields = instance_from(settings)
        changed.name = name_of(client, target, instance)
        request = messages.UpdateInstanceRequest(
            instance=changed,
            request_id=request_id or client.request_id(),
            validate_only=validate_only,
        )
        request.update_mask.paths.extend(fields)
        stub = services.InstanceServiceStub(client.channel)
        operation = client.call(stub.UpdateInstance, request)
        return finish(client, target, operation, wait=wait and not validate_only, quiet=quiet)


def _verb(name: str, told: str, *, stops: bool) -> None:
    """Add a command that asks for another state."""

    def run(target: Target, instances: tuple[str, ...], **options: Any) -> int:
        from fifo.cli.finishing import finish_all
        from fifo.v1 import instance_service_pb2 as messages
        from fifo.v1 import instance_service_pb2_grpc as services

        with target.client() as client:
            stub = services.InstanceServiceStub(client.channel)
            operations = []
            for text in instances:
                kind = getattr(messages, f"{name.title()}InstanceRequest")
                request = kind(
                    name=name_of(client, target, text),
                    request_id=options["request_id"] or client.request_id(),
                    validate_only=options["validate_only"],
                )
                if options.get("force"):
                    request.force = True
                if options.get("patience") is not None:
                    request.timeout.FromMilliseconds(round(options["patience"] * 1000))
                operations.append(client.call(getattr(stub, f"{name.title()}Instance"), request))
            wait = options["wait"] and not options["validate_only"]
            return finish_all(client, target, operations, wait=wait, quiet=options["quiet"])

    command: Any = pass_target(run)
    if stops:
        command = click.option("--force", is_flag=True, help="At once, without asking it.")(command)
        command = click.option(
            "--patience", type=click.FloatRange(min=0), default=None, metavar="SECONDS",
            help="How long it may take to stop.",
        )(command)  # fmt: skip
    command = click.argument("instances", nargs=-1, required=True)(waiting(command))
    COMMAND.command(name=name, help=told)(command)


_verb("start", "Start instances.", stops=False)
_verb("stop", "Stop instances: asked first, forced when they take too long.", stops=True)
_verb("reboot", "Stop instances and start them again.", stops=True)


@COMMAND.command()
@click.argument("instances", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Protected ones too.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@waiting
@pass_target
def delete(
    target: Target, instances: tuple[str, ...], *, force: bool, yes: bool, wait: bool,
    quiet: bool, validate_only: bool, request_id: str,
) -> int:  # fmt: skip
    """Delete instances and everything of theirs."""
    from fifo.cli.finishing import finish
    from fifo.v1 import instance_service_pb2 as messages
    from fifo.v1 import instance_service_pb2_grpc as services

    if not yes and not validate_only:
        click.confirm(f"Delete {', '.join(instances)} and all data of theirs?", abort=True)
    with target.client() as client:
        stub = services.InstanceServiceStub(client.channel)
        names = [name_of(client, target, text) for text in instances]
        request_id = request_id or client.request_id()
        if len(names) == 1:
            operation = client.call(
                stub.DeleteInstance,
                messages.DeleteInstanceRequest(
                    name=names[0], force=force, request_id=request_id, validate_only=validate_only
                ),
            )
        else:
            operation = client.call(
                stub.BatchDeleteInstances,
                messages.BatchDeleteInstancesRequest(
                    parent=target.parent(), names=names, force=force, request_id=request_id,
                    validate_only=validate_only,
                ),
            )  # fmt: skip
        return finish(client, target, operation, wait=wait and not validate_only, quiet=quiet)


@COMMAND.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.argument("instance")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-t", "--terminal", is_flag=True, help="Give the command a terminal.")
@click.option("-e", "--env", "environment", multiple=True, metavar="NAME=VALUE")
@pass_target
def execute(
    target: Target, instance: str, command: tuple[str, ...], environment: tuple[str, ...], *,
    terminal: bool,
) -> int:  # fmt: skip
    """Run a command inside a zone; ends with its exit status."""
    from fifo.cli.inside import execute as run

    pairs = dict(pair.partition("=")[::2] for pair in environment)
    with target.client() as client:
        name = name_of(client, target, instance)
        return run(client, name, command, pairs, terminal=terminal)


@COMMAND.command()
@click.argument("instance")
@click.option("--shell", is_flag=True, help="A shell of its own instead of the console.")
@pass_target
def console(target: Target, instance: str, *, shell: bool) -> int:
    """Attach to the console; Ctrl-] detaches."""
    from fifo.cli.inside import attach

    with target.client() as client:
        return attach(client, name_of(client, target, instance), shell=shell)


@COMMAND.command()
@click.argument("instance")
@click.option("-n", "--lines", default=100, show_default=True, type=click.IntRange(min=0))
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@pass_target
def logs(target: Target, instance: str, lines: int, *, follow: bool) -> None:
    """Print what an instance wrote to its console."""
    from fifo.v1 import instance_service_pb2 as messages
    from fifo.v1 import instance_service_pb2_grpc as services

    with target.client() as client:
        stub = services.InstanceServiceStub(client.channel)
        request = messages.ReadInstanceLogsRequest(
            name=name_of(client, target, instance), follow=follow, tail_lines=lines
        )
        stdout = sys.stdout.buffer
        for piece in client.stream(stub.ReadInstanceLogs, request):
            stdout.write(piece.data)
            stdout.flush()


@COMMAND.command()
@click.argument("instance")
@pass_target
def stats(target: Target, instance: str) -> None:
    """Show what a running instance has used since its start."""
    from fifo.cli import output
    from fifo.v1 import instance_service_pb2 as messages
    from fifo.v1 import instance_service_pb2_grpc as services

    with target.client() as client:
        stub = services.InstanceServiceStub(client.channel)
        name = f"{name_of(client, target, instance)}/stats"
        found = client.call(stub.GetInstanceStats, messages.GetInstanceStatsRequest(name=name))
        if target.output in {"table", "wide"}:
            click.echo(json.dumps(output.as_dict(found), indent=2))
        else:
            output.show_one(target.output, found, ())
