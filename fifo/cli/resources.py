"""Commands that every top-level resource has alike: list, get, create, update, delete."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from fifo.cli.options import listing, mutating, pass_target
from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from fifo.cli.client import Client
    from fifo.cli.target import Target


class Kind(NamedTuple):
    """A resource's words: in the API's names, in paths, and the columns of its table."""

    title: str
    plural: str
    columns: str


KINDS: Final = {
    "image": Kind("Image", "images", "IMAGES"),
    "package": Kind("Package", "packages", "PACKAGES"),
    "network": Kind("Network", "networks", "NETWORKS"),
    "hypervisor": Kind("Hypervisor", "hypervisors", "HYPERVISORS"),
}


def full(word: str, text: str) -> str:
    """Give a whole name for an id."""
    return text if "/" in text else f"{KINDS[word].plural}/{text}"


def messages_of(word: str) -> Any:
    """Import a resource's requests."""
    return importlib.import_module(f"fifo.v1.{word}_service_pb2")


def stub_of(client: Client, word: str) -> Any:
    """Make the stub of a resource's service."""
    services = importlib.import_module(f"fifo.v1.{word}_service_pb2_grpc")
    return getattr(services, f"{KINDS[word].title}ServiceStub")(client.channel)


def columns_of(word: str) -> Any:
    """Give the columns of a resource's table."""
    columns = importlib.import_module("fifo.cli.columns")
    return getattr(columns, KINDS[word].columns)


def add_list(group: click.Group, word: str) -> None:
    """Add `list`."""
    kind = KINDS[word]

    def run(target: Target, filter_text: str, order_by: str, limit: int) -> None:
        from fifo.cli import output

        with target.client() as client:
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

        with target.client() as client:
            request = getattr(messages_of(word), f"Get{kind.title}Request")(name=full(word, name))
            found = client.call(getattr(stub_of(client, word), f"Get{kind.title}"), request)
            output.show_one(target.output, found, columns_of(word))

    argument = click.argument("name", metavar=word.upper())
    group.command(name="get", help=f"Show one {word}.")(argument(pass_target(run)))


def _merge(message: Any, file: str | None, settings: tuple[str, ...]) -> list[str]:
    """Fill a resource from a JSON file and `field=value` pairs; gives the fields."""
    from google.protobuf import json_format

    wanted: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals:
            raise InvalidInput(setting, (Violation("setting", "FIELD=VALUE"),))
        try:
            wanted[field] = json.loads(text)
        except json.JSONDecodeError:
            wanted[field] = text
    try:
        json_format.ParseDict(wanted, message)
    except json_format.ParseError as error:
        raise InvalidInput("resource", (Violation(", ".join(wanted), str(error)),)) from error
    return list(wanted)


def add_create(group: click.Group, word: str) -> None:
    """Add `create`, of a resource that is there at once."""
    kind = KINDS[word]

    def run(
        target: Target, name: str, settings: tuple[str, ...], file: str | None, **options: Any
    ) -> None:
        from fifo.cli import output

        with target.client() as client:
            request = getattr(messages_of(word), f"Create{kind.title}Request")(
                request_id=options["request_id"] or client.request_id(),
                validate_only=options["validate_only"],
            )
            setattr(request, f"{word}_id", name)
            _merge(getattr(request, word), file, settings)
            made = client.call(getattr(stub_of(client, word), f"Create{kind.title}"), request)
            output.show_one(target.output, made, columns_of(word))

    command = _with_settings(word, run)
    group.command(name="create", help=f"Make a {word}; values are JSON or text.")(command)


def add_update(group: click.Group, word: str) -> None:
    """Add `update`."""
    kind = KINDS[word]

    def run(
        target: Target, name: str, settings: tuple[str, ...], file: str | None, **options: Any
    ) -> None:
        from fifo.cli import output

        with target.client() as client:
            request = getattr(messages_of(word), f"Update{kind.title}Request")(
                request_id=options["request_id"] or client.request_id(),
                validate_only=options["validate_only"],
            )
            fields = _merge(getattr(request, word), file, settings)
            getattr(request, word).name = full(word, name)
            request.update_mask.paths.extend(fields)
            made = client.call(getattr(stub_of(client, word), f"Update{kind.title}"), request)
            output.show_one(target.output, made, columns_of(word))

    command = _with_settings(word, run)
    group.command(name="update", help=f"Change fields of a {word}.")(command)


def _with_settings(word: str, run: Any) -> Any:
    command = mutating(pass_target(run))
    command = click.option("-f", "--file", default=None,
                           type=click.Path(exists=True, dir_okay=False),
                           help="A JSON file with its fields.")(command)  # fmt: skip
    command = click.argument("settings", nargs=-1, metavar="FIELD=VALUE...")(command)
    return click.argument("name", metavar=word.upper())(command)


def add_delete(group: click.Group, word: str) -> None:
    """Add `delete`, of a resource that is gone at once."""
    kind = KINDS[word]

    def run(target: Target, name: str, **options: Any) -> None:
        with target.client() as client:
            request = getattr(messages_of(word), f"Delete{kind.title}Request")(
                name=full(word, name),
                request_id=options["request_id"] or client.request_id(),
                validate_only=options["validate_only"],
            )
            client.call(getattr(stub_of(client, word), f"Delete{kind.title}"), request)

    argument = click.argument("name", metavar=word.upper())
    group.command(name="delete", help=f"Delete a {word} that nothing uses.")(
        argument(mutating(pass_target(run)))
    )
