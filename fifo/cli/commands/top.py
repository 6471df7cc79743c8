"""`fifo top`: hosts and instances with what they use, live."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import click

from fifo.cli.options import pass_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.target import Target


def _print(output: str, look: Callable[[], Any], times: int, delay_s: float) -> None:
    """Print a value each time for programs, so that each can be read as it comes.

    A single look is as every other command's result.
    """
    from fifo.cli.output import show_value

    for turn in itertools.count(1):
        show_value(output, look(), one_of_many=times != 1)
        if turn == times:
            return
        time.sleep(delay_s)


@click.command(name="top")
@click.option("-n", "--times", default=0, type=click.IntRange(min=0),
              help="Show so many times and end; 0 goes on until q or Ctrl-C.")  # fmt: skip
@click.option("-d", "--delay", "delay_s", default=2.0, show_default=True,
              type=click.FloatRange(min=0.2), metavar="SECONDS",
              help="Between two looks.")  # fmt: skip
@click.option("--sort", default="cpu", show_default=True,
              type=click.Choice(["cpu", "memory", "name"]), help="What comes first.")  # fmt: skip
@pass_target
def COMMAND(  # noqa: N802 - found by this name
    target: Target, times: int, delay_s: float, sort: str
) -> None:
    """Show what hosts and instances use now; q ends it."""
    from fifo.cli.screen import Screen
    from fifo.cli.usage import Usage

    with target.client() as client:
        usage = Usage(client, target)
        if target.output in {"json", "yaml"}:
            _print(target.output, lambda: usage.facts(sort), times, delay_s)
            return
        if times == 1:
            click.echo("\n".join(usage.page(sort)))
            return
        shown = 0
        with Screen() as screen:
            while True:
                screen.show(usage.page(sort))
                shown += 1
                if shown == times or not screen.wait(delay_s):
                    return
