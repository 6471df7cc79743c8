"""`fifo tree`: the supervision tree, once or live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fifo.cli.options import pass_target

if TYPE_CHECKING:
    from fifo.cli.target import Target


@click.command(name="tree")
@click.argument("root", required=False, default="")
@click.option("--depth", default=6, show_default=True, type=click.IntRange(1, 32),
              help="Levels shown.")  # fmt: skip
@click.option("--children", default=20, show_default=True, type=click.IntRange(1, 1_000),
              help="Children shown of one supervisor.")  # fmt: skip
@click.option("-w", "--watch", is_flag=True,
              help="Go on: on a terminal the tree as it is, else its changes.")  # fmt: skip
@pass_target
def COMMAND(  # noqa: N802 - found by this name
    target: Target, root: str, depth: int, children: int, *, watch: bool
) -> None:
    """Show the node's processes: who supervises whom, restarts, last crashes."""
    from fifo.cli import output
    from fifo.cli.trees import tree_lines
    from fifo.v1 import supervision_service_pb2 as messages
    from fifo.v1 import supervision_service_pb2_grpc as services

    with target.client() as client:
        stub = services.SupervisionServiceStub(client.channel)
        if watch:
            from fifo.cli.live_tree import follow, print_changes

            wanted = messages.WatchTreeRequest(root=root, depth=depth, max_children=children)
            shown = follow if target.output in {"table", "wide"} else print_changes
            shown(client, target.output, wanted)
            return
        request = messages.GetTreeRequest(root=root, depth=depth, max_children=children)
        tree = client.call(stub.GetTree, request)
        if target.output in {"json", "yaml"}:
            output.show_one(target.output, tree, ())
        else:
            click.echo("\n".join(tree_lines(tree)))
