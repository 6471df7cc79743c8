"""Options that many commands have alike."""

from __future__ import annotations

import dataclasses
import functools
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.client import Client
    from fifo.cli.target import Target

F = TypeVar("F", bound="Callable[..., Any]")

FORMATS: Final = ("table", "wide", "json", "yaml", "name")
"""Forms that every result has."""
VMADM: Final = "vmadm"
"""The form of `vmadm get`, which instances alone have."""


def _formatted(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Let an `-o` behind the command's name win over the one before it."""
    del param
    if value is not None and ctx.obj is not None:
        ctx.obj = dataclasses.replace(ctx.obj, output=value)


def _with_target(function: F, formats: tuple[str, ...]) -> F:
    @click.option("-o", "--output", type=click.Choice(formats), default=None, expose_value=False,
                  callback=_formatted, help="How the result is printed.")  # fmt: skip
    @click.pass_context
    @functools.wraps(function)
    def wrapper(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        target: Target = ctx.obj
        if target.output not in formats:
            raise click.UsageError(f"-o {target.output} is for `instance get` and `list` alone")
        return function(target, *args, **kwargs)

    return wrapper  # type: ignore[return-value]


def pass_target(function: F) -> F:
    """Hand a command its Target in front of its own arguments, and let it take `-o` itself."""
    return _with_target(function, FORMATS)


def pass_target_of_instances(function: F) -> F:
    """Hand over the Target, where `-o vmadm` is good too."""
    return _with_target(function, (*FORMATS, VMADM))


def listing(function: F) -> F:
    """Add what lists take: a filter, an order, a bound."""
    for option in (
        click.option("--filter", "filter_text", default="", metavar="EXPR",
                     help="Like: state = RUNNING AND brand = LX"),
        click.option("--order-by", default="", metavar="FIELDS", help="Like: create_time desc"),
        click.option("--limit", default=0, type=click.IntRange(min=0), metavar="N",
                     help="At most so many; 0 for all."),
    ):  # fmt: skip
        function = option(function)
    return watching(function)


def watching(function: F) -> F:
    """Add whether to go on with changes."""
    return click.option("-w", "--watch", is_flag=True,
                        help="Go on with changes as they happen.")(function)  # fmt: skip


def mutating(function: F) -> F:
    """Add what changes take: whether to try only, and the id that makes a repeat harmless."""
    for option in (
        click.option("--validate-only", is_flag=True, help="Check, and change nothing."),
        click.option("--request-id", default="", metavar="UUID4",
                     help="The same again for a repeat of the same request."),
    ):  # fmt: skip
        function = option(function)
    return function


def guarded(function: F) -> F:
    """Add the etag that a change is refused without."""
    return click.option("--etag", default="", metavar="ETAG",
                        help="Refuse unless it is the present one.")(function)  # fmt: skip


def allow_missing(function: F) -> F:
    """Add whether what is gone already is an error."""
    return click.option("--allow-missing", is_flag=True,
                        help="What is missing is no error.")(function)  # fmt: skip


def waiting(function: F) -> F:
    """Add whether to wait for the operation's end."""
    for option in (
        click.option("--wait/--no-wait", default=True, show_default=True,
                     help="Wait until the operation has ended."),
        click.option("-q", "--quiet", is_flag=True, help="No progress bar."),
    ):  # fmt: skip
        function = option(function)
    return mutating(function)


def confirm(question: str) -> None:
    """Ask whether to go on; ends the command if not. A script that nobody answers is told how."""
    try:
        agreed = click.confirm(question)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo()
        raise click.UsageError("nobody is there to answer: give --yes to go on") from None
    if not agreed:
        raise click.Abort


def fill(client: Client, request: Any, options: dict[str, Any]) -> None:
    """Put into a request what the options above say, as far as it has such fields."""
    request.request_id = options["request_id"] or client.request_id()
    has = request.DESCRIPTOR.fields_by_name
    for field in ("validate_only", "etag", "allow_missing", "force"):
        if options.get(field) and field in has:
            setattr(request, field, options[field])


def archive(context: click.Context, parameter: click.Parameter, file: str) -> str:
    """Refuse standard output for what is written whole or not at all; a callback of click's."""
    if file == "-":
        raise click.BadParameter("name a file: it is whole or not there", context, parameter)
    return file
