"""`fifo package`: sizes that instances can be made with."""

from __future__ import annotations

import click

from fifo.cli.resources import add_create, add_delete, add_get, add_list, add_update


@click.group(name="package")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """Sizes that instances can be made with."""


for add in (add_list, add_get, add_create, add_update, add_delete):
    add(COMMAND, "package")
