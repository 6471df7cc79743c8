"""`fifo demo`: the main job on this machine."""

from __future__ import annotations

import click


@click.command(name="demo")
@click.option(
    "--stay",
    is_flag=True,
    help="Only start the node with images and a network, and keep it until interrupted.",
)
@click.option("--simulated", is_flag=True, help="Simulated hosts, whatever this machine can do.")
def COMMAND(*, stay: bool, simulated: bool) -> int:  # noqa: N802 - found by this name
    """Create zones and a VM, kill them, see them come back; then leave nothing behind.

    As root with runc and QEMU installed they are real, otherwise simulated. Interrupted, it deletes
    all instances of its node first.
    """
    from fifo.cli.demo.program import main

    return main(stay=stay, simulated=simulated)
