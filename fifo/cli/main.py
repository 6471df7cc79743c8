"""`fifo`: the command line of every call, and of the node itself.

Groups are imported when they are used: help, completion and usage errors never wait for gRPC.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final, NamedTuple

import click
from click.shell_completion import CompletionItem

from fifo.cli.exits import USAGE, report
from fifo.cli.options import FORMATS, VMADM
from fifo.cli.target import Target


class Place(NamedTuple):
    """Where a command is, and what it says of itself without being imported."""

    module: str
    told: str


COMMANDS: Final[dict[str, Place]] = {
    "instance": Place("instance", "Zones and virtual machines."),
    "snapshot": Place("snapshot", "Snapshots of instances."),
    "image": Place("image", "Images that instances are made from."),
    "package": Place("package", "Sizes that instances can be made with."),
    "network": Place("network", "Networks and their addresses."),
    "hypervisor": Place("hypervisor", "Hosts."),
    "operation": Place("operation", "What runs and what ran."),
    "events": Place("events", "What happened to a resource, or happens now."),
    "tree": Place("tree", "The supervision tree, once or live."),
    "top": Place("top", "Hosts and instances with what they use, live."),
    "admin": Place("admin", "The node's token, store and facts."),
    "support": Place("support", "A bundle for whoever helps."),
    "store": Place("store", "Restore a backup on this machine."),
    "serve": Place("serve", "Run a node."),
    "demo": Place("demo", "Show the main job on this machine, and leave nothing behind."),
    "completion": Place("completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose members are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command that is wanted."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module = importlib.import_module(f"fifo.cli.commands.{place.module}")
        command = module.COMMAND
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete names of commands without importing what they name."""
        if incomplete[:1] == "-":
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=place.told)
            for name, place in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whoever reads the output may leave when they have seen enough."""
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The rest goes nowhere, and the interpreter's own flush at the end finds no fault.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return status

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing what it names."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.told) for name, place in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--server", envvar="FIFO_SERVER", metavar="ADDRESS",
              help="unix:PATH or HOST:PORT; by default the local node.")  # fmt: skip
@click.option("--ca", envvar="FIFO_CA", metavar="FILE",
              help="The CA that the server's certificate is from.")  # fmt: skip
@click.option("--token-file", envvar="FIFO_TOKEN_FILE", metavar="FILE",
              help="A file with an API token.")  # fmt: skip
@click.option("-o", "--output", type=click.Choice((*FORMATS, VMADM)), default="table",
              show_default=True, envvar="FIFO_OUTPUT", help="How results are printed.")  # fmt: skip
@click.option("--org", default="default", envvar="FIFO_ORG", show_default=True,
              help="The organisation of tenants' resources.")  # fmt: skip
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=30.0,
              show_default=True, metavar="SECONDS", help="How long a call may take.")  # fmt: skip
@click.version_option(package_name="fifo")
@click.pass_context
def cli(
    ctx: click.Context, /, output: str, org: str, timeout_s: float, **where: str | None
) -> None:
    """Manage a fleet of hypervisors: zones and virtual machines, supervised."""
    ctx.obj = Target(
        server=where["server"],
        ca_file=where["ca"],
        token_file=where["token_file"],
        output=output,
        org=org,
        timeout_s=timeout_s,
    )


def main(arguments: list[str] | None = None) -> Any:
    """Run the command; the program's entry point. Ends with an exit status of `fifo.cli.exits`."""
    # gRPC's own notes, on fork for instance, are for its developers, and what goes wrong is told by
    # its errors too; it reads this when imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        status = cli.main(arguments, prog_name="fifo", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE if isinstance(error, click.UsageError) else error.exit_code)
    except Exception as error:
        told = report(error)
        if told is None:
            raise
        sys.exit(told)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
