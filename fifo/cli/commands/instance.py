"""`fifo instance`: zones and virtual machines."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from fifo.cli.completing import names, resource
from fifo.cli.durations import Duration
from fifo.cli.instance_lists import add_instances_list
from fifo.cli.kinds import stub_of
from fifo.cli.options import (
    allow_missing,
    confirm,
    fill,
    guarded,
    pass_target,
    pass_target_of_instances,
    waiting,
)
from fifo.cli.settable import listed

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.group(name="instance")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Zones and virtual machines."""


add_instances_list(COMMAND)


@COMMAND.command()
@resource("instance", name="instances", nargs=-1, required=True)
@pass_target_of_instances
def get(target: Target, instances: tuple[str, ...]) -> None:
    """Show instances: what is wished, the state they are in, and why."""
    from fifo.cli.naming import name_of
    from fifo.cli.shown import show_instances
    from fifo.v1 import instance_service_pb2 as messages

    with target.client() as client:
        stub = stub_of(client, "instance")
        names = [name_of(client, target, "instance", text) for text in instances]
        if len(names) == 1:
            found = client.call(stub.GetInstance, messages.GetInstanceRequest(name=names[0]))
            show_instances(client, target, [found], alone=True)
            return
        parents = {name.rpartition("/instances/")[0] for name in names}
        request = messages.BatchGetInstancesRequest(
            parent=parents.pop() if len(parents) == 1 else "orgs/-", names=names
        )
        reply = client.call(stub.BatchGetInstances, request)
        show_instances(client, target, list(reply.instances), alone=False)


BY_OPTIONS = ("brand", "image", "package", "networks", "memory", "alias", "settings")
"""Options of `create` that make an instance without a file."""


@COMMAND.command(epilog=listed("instance"))
@click.argument("instance", required=False, default="")
@click.option("-f", "--file", "files", multiple=True, metavar="FILE", type=click.Path(),
              help="A vmadm payload as it is, - for standard input; several make a batch."
              )  # fmt: skip
@click.option("--brand", type=click.Choice(["lx", "kvm"]), default=None, help="Zone or VM.")
@click.option("--image", default="", shell_complete=names("image"),
              help="The image it is made from.")  # fmt: skip
@click.option("--package", default="", shell_complete=names("package"),
              help="The size it has.")  # fmt: skip
@click.option("--network", "networks", multiple=True, shell_complete=names("network"),
              help="A network it is on; several times.")  # fmt: skip
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

    given = [name for name in BY_OPTIONS if options[name]]
    if files and given:
        raise click.UsageError("a FILE is the whole of an instance: take -f or the other options")
    if len(files) > 1 and instance:
        raise click.UsageError("INSTANCE is the name of one: leave it out for several files")
    with target.client() as client:
        if len(files) > 1:
            return create_batch(client, target, files, options)
        return create_one(client, target, instance, files, options)


@COMMAND.command(epilog=listed("instance"))
@resource("instance", name="instance")
@click.argument("settings", nargs=-1, metavar="FIELD=VALUE...")
@click.option("-f", "--file", default=None, type=click.Path(exists=True, dir_okay=False),
              help="A JSON file with the fields to change.")  # fmt: skip
@click.option("--allow-missing", is_flag=True, help="Make it if it is missing.")
@guarded
@waiting
@pass_target
def update(
    target: Target, instance: str, settings: tuple[str, ...], file: str | None, **options: Any
) -> int:
    """Change fields of an instance; says what takes effect at once and what at the next boot."""
    from fifo.cli.fields import merge
    from fifo.cli.finishing import finish
    from fifo.cli.naming import name_of
    from fifo.v1 import instance_service_pb2 as messages

    with target.client() as client:
        request = messages.UpdateInstanceRequest()
        fill(client, request, options)
        request.update_mask.paths.extend(merge(request.instance, file, settings))
        request.instance.name = name_of(client, target, "instance", instance)
        request.instance.etag = options["etag"] or request.instance.etag
        operation = client.call(stub_of(client, "instance").UpdateInstance, request)
        return finish(client, target, operation, options)


def _verb(name: str, told: str, *, stops: bool) -> None:
    """Add a command that asks for another state."""

    def run(target: Target, instances: tuple[str, ...], **options: Any) -> int:
        from fifo.cli.finishing import each
        from fifo.cli.naming import name_of
        from fifo.v1 import instance_service_pb2 as messages

        if len(instances) > 1 and (options["etag"] or options["request_id"]):
            raise click.UsageError("--etag and --request-id are for one instance")
        with target.client() as client:
            method = getattr(stub_of(client, "instance"), f"{name.title()}Instance")

            def ask(text: str) -> Any:
                request = getattr(messages, f"{name.title()}InstanceRequest")(
                    name=name_of(client, target, "instance", text)
                )
                fill(client, request, options)
                if options.get("patience_s") is not None:
                    request.timeout.FromMilliseconds(round(options["patience_s"] * 1000))
                return client.call(method, request)

            asks = [functools.partial(ask, text) for text in instances]
            return each(client, target, asks, options)

    command: Any = guarded(pass_target(run))
    if stops:
        command = click.option(
            "--force", is_flag=True,
            help="At once, without asking it; also where one that was asked hangs.",
        )(command)  # fmt: skip
        command = click.option(
            "--timeout", "patience_s", type=Duration(), default=None, metavar="TIME",
            help="How long it may take to stop before it is forced, like 10s or 5m; at most 1h.",
        )(command)  # fmt: skip
    several = resource("instance", name="instances", nargs=-1, required=True)
    COMMAND.command(name=name, help=told)(several(waiting(command)))


_verb("start", "Start instances.", stops=False)
_verb("stop", "Stop instances: asked first, forced when they take too long.", stops=True)
_verb("reboot", "Stop instances and start them again.", stops=True)


@COMMAND.command()
@resource("instance", name="instances", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="With their snapshots.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@allow_missing
@guarded
@waiting
@pass_target
def delete(target: Target, instances: tuple[str, ...], *, yes: bool, **options: Any) -> int:
    """Delete instances and everything of theirs."""
    from fifo.cli.finishing import finish
    from fifo.cli.naming import name_of, names_of
    from fifo.cli.text import safe
    from fifo.v1 import instance_service_pb2 as messages

    if len(instances) > 1 and (options["etag"] or options["allow_missing"]):
        raise click.UsageError("--etag and --allow-missing are for one instance")
    if not yes and not options["validate_only"]:
        confirm(f"Delete {safe(', '.join(instances))} and all data of theirs?")
    with target.client() as client:
        stub = stub_of(client, "instance")
        request: Any
        if len(instances) == 1:
            names, wrong = [name_of(client, target, "instance", instances[0])], 0
            request, method = messages.DeleteInstanceRequest(name=names[0]), stub.DeleteInstance
        else:
            names, wrong = names_of(client, target, instances)
            if not names:
                return wrong
            parent = target.parent()
            request = messages.BatchDeleteInstancesRequest(parent=parent, names=names)
            method = stub.BatchDeleteInstances
        fill(client, request, options)
        items = names if len(instances) > 1 else ()
        status = finish(client, target, client.call(method, request), options, items)
        return wrong or status


@COMMAND.command(name="exec", context_settings={"allow_interspersed_args": False})
@resource("instance", name="instance")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-t", "--terminal", is_flag=True, help="Give the command a terminal.")
@click.option("-e", "--env", "environment", multiple=True, metavar="NAME=VALUE")
@pass_target
def execute(
    target: Target, instance: str, command: tuple[str, ...], environment: tuple[str, ...], *,
    terminal: bool,
) -> int:  # fmt: skip
    """Run a command inside a zone; ends with its exit status.

    Options of `exec` stand before the instance; all behind it belongs to the command.
    """
    from fifo.cli.inside import execute as run
    from fifo.cli.naming import name_of

    # Behind the instance `--` is of no use any more; many write it all the same.
    command = command[1:] if command[0] == "--" else command
    if not command:
        raise click.UsageError("give a command to run")
    pairs = dict(pair.partition("=")[::2] for pair in environment)
    with target.client() as client:
        name = name_of(client, target, "instance", instance)
        return run(client, name, command, pairs, terminal=terminal)


@COMMAND.command()
@resource("instance", name="instance")
@click.option("--shell", is_flag=True, help="A shell of its own instead of the console.")
@pass_target
def console(target: Target, instance: str, *, shell: bool) -> int:
    """Attach to the console; Ctrl-] detaches."""
    from fifo.cli.inside import attach
    from fifo.cli.naming import name_of

    with target.client() as client:
        return attach(client, name_of(client, target, "instance", instance), in_shell=shell)


@COMMAND.command()
@resource("instance", name="instance")
@click.option("-n", "--lines", default=100, show_default=True, type=click.IntRange(min=0))
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@pass_target
def logs(target: Target, instance: str, lines: int, *, follow: bool) -> None:
    """Print what an instance wrote to its console, byte by byte."""
    from fifo.cli.inside import show_logs
    from fifo.cli.naming import name_of

    with target.client() as client:
        show_logs(client, name_of(client, target, "instance", instance), lines, follow=follow)


@COMMAND.command()
@resource("instance", name="instance")
@pass_target
def stats(target: Target, instance: str) -> None:
    """Show what a running instance has used since its start."""
    from fifo.cli import columns, output
    from fifo.cli.naming import name_of
    from fifo.v1 import instance_service_pb2 as messages

    with target.client() as client:
        name = f"{name_of(client, target, 'instance', instance)}/stats"
        request = messages.GetInstanceStatsRequest(name=name)
        found = client.call(stub_of(client, "instance").GetInstanceStats, request)
        output.show_one(target.output, found, columns.STATS)
