"""The end of a change: wait for its operation, then say what became of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from fifo.cli import columns, output
from fifo.cli.client import metadata_of
from fifo.cli.exits import FAILED
from fifo.cli.text import safe

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target


def finish(client: Client, target: Target, operation: Any, options: dict[str, Any]) -> int:
    """Wait for an operation if `fifo.cli.options.waiting` said so, and print it.

    Gives the exit status.
    """
    wait = options["wait"] and not options.get("validate_only")
    status, operation = client.finish(operation, wait=wait, quiet=options["quiet"])
    if target.output in {"table", "wide"}:
        _tell(operation)
    else:
        output.show_one(target.output, operation, columns.OPERATIONS)
    return status or (FAILED if metadata_of(operation).failed_requests else 0)


def finish_all(
    client: Client, target: Target, operations: list[Any], options: dict[str, Any]
) -> int:
    """Wait for several operations; gives the exit status of the first that failed."""
    statuses = [finish(client, target, operation, options) for operation in operations]
    return next((status for status in statuses if status), 0)


def _tell(operation: Any) -> None:
    """Say in a few lines what happened, and what will."""
    metadata = metadata_of(operation)
    what = f"{metadata.verb} {metadata.target}".strip()
    if not operation.done:
        own = safe(output.last(operation.name))
        print(f"{safe(what)}: under way, see `fifo operation wait {own}`")
    elif not operation.HasField("error"):
        print(f"{safe(what)}: done" if operation.name else f"{safe(what)}: valid")
    for field, told in (
        ("unhonoured_properties", "this host cannot honour"),
        ("applied_live", "in effect now"),
        ("pending_reboot", "in effect at the next boot"),
        ("owed_cleanups", "still owed by hosts"),
    ):
        values = list(getattr(metadata, field))
        if values:
            print(f"  {told}: {safe(', '.join(values))}")
    for index, failed in sorted(metadata.failed_requests.items()):
        print(f"  request {index}: {safe(failed.message)}", file=sys.stderr)
