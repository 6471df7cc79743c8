"""`fifo top`: hosts and instances with what they use, live."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from fifo.cli.options import pass_target

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.command(name="top")
@click.option("-n", "--times", default=0, type=click.IntRange(min=0),
              help="Show so many times and end; 0 goes on until interrupted.")  # fmt: skip
@click.option("-d", "--delay", "delay_s", default=2.0, show_default=True,
              type=click.FloatRange(min=0.2), metavar="SECONDS")  # fmt: skip
@click.option("--sort", default="cpu", show_default=True,
              type=click.Choice(["cpu", "memory", "name"]))  # fmt: skip
@pass_target
def COMMAND(  # noqa: N802 - found by this name
    target: Target, times: int, delay_s: float, sort: str
) -> None:
    """Show what hosts and instances use now."""
    from fifo.cli.usage import Usage

    with target.client() as client:
        usage = Usage(client, target)
        shown = 0
        while True:
            page = usage.page(sort)
            if times != 1 and sys.stdout.isatty():
                page = f"\x1b[H{page.replace(chr(10), chr(27) + '[K' + chr(10))}\x1b[J"
            click.echo(page, nl=False)
            shown += 1
            if shown == times:
                return
            time.sleep(delay_s)
