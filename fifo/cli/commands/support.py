"""`fifo support`: a bundle for whoever helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fifo.cli.options import archive, pass_target

if TYPE_CHECKING:
    from fifo.cli.target import Target

LOG_BYTES = 8 * 1024 * 1024


@click.group(name="support")
def COMMAND() -> None:  # noqa: N802 - the name by which groups are found
    """A bundle for whoever helps."""


@COMMAND.command()
@click.argument("file", default="fifo-support.tar.gz", callback=archive,
                type=click.Path(dir_okay=False))  # fmt: skip
@click.option("--log-bytes", default=LOG_BYTES, show_default=True, type=click.IntRange(min=0))
@pass_target
def bundle(target: Target, file: str, log_bytes: int) -> None:
    """Collect logs, settings and state of the node, with secrets removed."""
    from fifo.cli.commands.admin import stub_of
    from fifo.cli.files import save
    from fifo.v1 import admin_service_pb2 as messages

    with target.client() as client:
        request = messages.GetSupportBundleRequest(max_log_bytes=log_bytes)
        pieces = client.stream(stub_of(client).GetSupportBundle, request)
        save(target.output, file, pieces)
