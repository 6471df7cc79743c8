"""`fifo serve`: run a node."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fifo.cli.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each setting of the table."""
    for own in reversed(dataclasses.fields(Settings)):
        name = f"--{own.name.replace('_', '-')}"
        told = own.metadata["told"]
        if isinstance(own.default, bool):
            option = click.option(f"{name}/--no-{name[2:]}", own.name, default=None, help=told)
        elif isinstance(own.default, tuple):
            option = click.option(name, own.name, multiple=True, help=f"{told} Several times.")
        else:
            option = click.option(name, own.name, default=None, metavar="VALUE", help=told)
        function = option(function)
    return function


@click.command(name="serve")
@click.option("--config", type=click.Path(exists=True, dir_okay=False), default=None,
              help="A TOML file with these settings.")  # fmt: skip
@_options
def COMMAND(config: str | None, **wanted: Any) -> int:  # noqa: N802 - found by this name
    """Run a node: its API, its store, and the hosts it manages, until it is interrupted."""
    from fifo.cli.serving.program import serve

    overrides = {name: value for name, value in wanted.items() if value not in (None, ())}
    settings = load(Path(config) if config else None, overrides)

    def ready(running: Any, directories: Any) -> None:
        api = settings.listen.rpartition(":")[0]
        web = settings.metrics_listen.rpartition(":")[0]
        click.echo(f"FiFo serves on {api}:{running.api_port} and unix:{directories.socket}")
        click.echo(f"metrics at http://{web}:{running.web_port}/metrics")
        click.echo(f"admin token in {directories.private / 'admin.token'}")
        if running.warning:
            click.echo(running.warning, err=True)

    return serve(settings, ready)
