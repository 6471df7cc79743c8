"""Commands that every top-level resource has alike: list, get, create, update, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fifo.cli.completing import resource
from fifo.cli.kinds import KINDS, columns_of, messages_of, stub_of
from fifo.cli.options import (
    allow_missing,
    fill,
    guarded,
    listing,
    mutating,
    pass_target,
)
from fifo.cli.settable import listed

if TYPE_CHECKING:
    from fifo.cli.target import Target


def add_list(group: click.Group, word: str) -> None:
    """Add `list`."""
    kind = KINDS[word]

    def run(target: Target, filter_text: str, order_by: str, limit: int, *, watch: bool) -> None:
        from fifo.cli import output

        with target.client() as client:
            if watch:
                from fifo.cli.watching import watch_resources

                watch_resources(
                    client, target.output, kind.resource_type, columns_of(word),
                    filter_text=filter_text,
                )  # fmt: skip
                return
            request = getattr(messages_of(word), f"List{kind.title}sRequest")(
                filter=filter_text, order_by=order_by
            )
            method = getattr(stub_of(client, word), f"List{kind.title}s")
            found = client.pages(method, request, kind.plural, limit)
            output.show(target.output, found, columns_of(word))

    group.command(name="list", help=f"List {kind.plural}.")(listing(pass_target(run)))


def add_get(group: click.Group, word: str) -> None:
    """Add `get`."""
    kind = KINDS[word]

    def run(target: Target, name: str) -> None:
        from fifo.cli import output
        from fifo.cli.naming import name_of

        with target.client() as client:
            request = getattr(messages_of(word), f"Get{kind.title}Request")(
                name=name_of(client, target, word, name)
            )
            found = client.call(getattr(stub_of(client, word), f"Get{kind.title}"), request)
            output.show_one(target.output, found, columns_of(word))

    group.command(name="get", help=f"Show one {word}.")(resource(word)(pass_target(run)))


def add_create(group: click.Group, word: str) -> None:
    """Add `create`, of a resource that is there at once."""
    kind = KINDS[word]

    def run(
        target: Target, name: str, settings: tuple[str, ...], file: str | None, **options: Any
    ) -> None:
        from fifo.cli import output
        from fifo.cli.fields import merge

        with target.client() as client:
            request = getattr(messages_of(word), f"Create{kind.title}Request")()
            fill(client, request, options)
            setattr(request, f"{word}_id", name)
            merge(getattr(request, word), file, settings)
            made = client.call(getattr(stub_of(client, word), f"Create{kind.title}"), request)
            output.show_one(target.output, made, columns_of(word))

    command = _with_settings(mutating(pass_target(run)))
    command = click.argument("name", metavar=word.upper())(command)
    told = f"Make a {word}; values are JSON or text."
    group.command(name="create", help=told, epilog=listed(word))(command)


def add_update(group: click.Group, word: str) -> None:
    """Add `update`."""
    kind = KINDS[word]

    def run(
        target: Target, name: str, settings: tuple[str, ...], file: str | None, etag: str,
        **options: Any,
    ) -> None:  # fmt: skip
        from fifo.cli import output
        from fifo.cli.fields import merge
        from fifo.cli.naming import name_of

        with target.client() as client:
            request = getattr(messages_of(word), f"Update{kind.title}Request")()
            fill(client, request, options)
            changed = getattr(request, word)
            request.update_mask.paths.extend(merge(changed, file, settings))
            changed.name = name_of(client, target, word, name)
            changed.etag = etag or changed.etag
            made = client.call(getattr(stub_of(client, word), f"Update{kind.title}"), request)
            output.show_one(target.output, made, columns_of(word))

    command = mutating(guarded(pass_target(run)))
    if word != "hypervisor":
        command = click.option("--allow-missing", is_flag=True,
                               help="Make it if it is missing.")(command)  # fmt: skip
    command = resource(word)(_with_settings(command))
    told = f"Change fields of a {word}."
    group.command(name="update", help=told, epilog=listed(word))(command)


def _with_settings(command: Any) -> Any:
    command = click.option("-f", "--file", default=None,
                           type=click.Path(exists=True, dir_okay=False),
                           help="A JSON file with its fields.")(command)  # fmt: skip
    return click.argument("settings", nargs=-1, metavar="FIELD=VALUE...")(command)


def add_delete(group: click.Group, word: str) -> None:
    """Add `delete`, of a resource that is gone at once."""
    kind = KINDS[word]

    def run(target: Target, name: str, **options: Any) -> None:
        from fifo.cli.naming import name_of

        with target.client() as client:
            request = getattr(messages_of(word), f"Delete{kind.title}Request")(
                name=name_of(client, target, word, name)
            )
            fill(client, request, options)
            client.call(getattr(stub_of(client, word), f"Delete{kind.title}"), request)

    command = mutating(guarded(allow_missing(pass_target(run))))
    group.command(name="delete", help=f"Delete a {word} that nothing uses.")(
        resource(word)(command)
    )
