"""`fifo completion`: the script that makes a shell complete `fifo`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def COMMAND(ctx: click.Context, shell: str) -> None:  # noqa: N802 - found by this name
    """Print the completion script; in bash: eval "$(fifo completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root().command
    click.echo(kind(root, {}, "fifo", "_FIFO_COMPLETE").source())
