"""The end of a change: wait for its operation, then say what became of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from fifo.cli import columns, output
from fifo.cli.client import metadata_of
from fifo.cli.exits import in_words, report, status_of
from fifo.cli.text import safe
from fifo.v1.instance_service_pb2 import BatchCreateInstancesResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fifo.cli.client import Client
    from fifo.cli.target import Target


PEOPLE: Final = frozenset({"table", "wide"})
"""Forms of output that nobody parses."""


def finish(
    client: Client,
    target: Target,
    operation: Any,
    options: dict[str, Any],
    items: Sequence[str] = (),
) -> int:
    """Wait for an operation if `fifo.cli.options.waiting` said so, and print it.

    `items` are what its requests are called, where it has several. Gives the exit status.
    """
    status, operation = _ended(client, operation, options)
    if target.output in PEOPLE:
        _tell(operation, options, items)
    elif target.output == "name":
        _name(operation, items)
    else:
        output.show_one(target.output, operation, columns.OPERATIONS)
    _tell_failed(operation, items)
    return status


def each(
    client: Client,
    target: Target,
    asks: Sequence[Callable[[], Any]],
    options: dict[str, Any],
) -> int:
    """Begin several operations, then wait for all; what one is refused for stops no other.

    Gives the exit status of the first that failed.
    """
    if len(asks) == 1:
        return finish(client, target, asks[0](), options)
    statuses: list[int] = []
    begun = []
    for ask in asks:
        try:
            begun.append(ask())
        except Exception as error:
            told = report(error)
            if told is None:
                raise
            statuses.append(told)
    ended = [_ended(client, operation, options) for operation in begun]
    if target.output in PEOPLE:
        for _, operation in ended:
            _tell(operation, options, ())
    elif target.output == "name":
        for _, operation in ended:
            _name(operation, ())
    else:
        output.show(target.output, [operation for _, operation in ended], columns.OPERATIONS)
    return next((status for status in (*statuses, *(own for own, _ in ended)) if status), 0)


def _ended(client: Client, operation: Any, options: dict[str, Any]) -> tuple[int, Any]:
    wait = options["wait"] and not options.get("validate_only")
    status, operation = client.finish(operation, wait=wait, quiet=options["quiet"])
    failed = metadata_of(operation).failed_requests
    return status or (status_of(failed[min(failed)]) if failed else 0), operation


def _name(operation: Any, items: Sequence[str]) -> None:
    """Print names alone: of what was made or changed, or of an operation that has not got there.

    The latter is what `fifo operation` takes.
    """
    metadata = metadata_of(operation)
    names = [operation.name]
    if operation.done and not operation.HasField("error"):
        made = output.as_dict(operation).get("response", {})
        found = [made] if made.get("name") else made.get("instances", [])
        asked = [own for index, own in enumerate(items) if index not in metadata.failed_requests]
        names = [own["name"] for own in found] or (asked if items else [metadata.target])
    for own in names:
        print(safe(own))


def _tell(operation: Any, options: dict[str, Any], items: Sequence[str]) -> None:
    """Say in a few lines what happened, and what will."""
    metadata = metadata_of(operation)
    on = f"{len(items)} instances" if items else metadata.target
    what = f"{metadata.verb} {on}".strip()
    if not operation.done:
        own = safe(output.last(operation.name))
        print(f"{safe(what)}: under way, see `fifo operation wait {own}`")
    elif not operation.HasField("error"):
        # Without a name nothing was begun: it was only asked, or is so already.
        asked = "valid" if options.get("validate_only") else "nothing to do"
        if metadata.failed_requests:
            asked = f"{len(metadata.failed_requests)} refused"
        print(f"{safe(what)}: {'done' if operation.name else asked}")
    for made in _made(operation):
        print(f"  {safe(made)}")
    for field, told in (
        ("unhonoured_properties", "this host cannot honour"),
        ("applied_live", "in effect now"),
        ("pending_reboot", "in effect at the next boot"),
        ("owed_cleanups", "still owed by hosts"),
    ):
        values = list(getattr(metadata, field))
        if values:
            print(f"  {told}: {safe(', '.join(values))}")


def _tell_failed(operation: Any, items: Sequence[str]) -> None:
    """Say of each request that failed why, whatever the form of what was done."""
    for index, failed in sorted(metadata_of(operation).failed_requests.items()):
        own = items[index] if index < len(items) else f"request {index}"
        told = in_words(failed.message).removeprefix(f"{own}: ")
        print(f"  {safe(own)}: {safe(told)}", file=sys.stderr)


def _made(operation: Any) -> list[str]:
    """Name what a batch made: who asked for it does not know."""
    made = BatchCreateInstancesResponse()
    return [own.name for own in made.instances] if operation.response.Unpack(made) else []
