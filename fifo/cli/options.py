"""Options that many commands have alike."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.target import Target

F = TypeVar("F", bound="Callable[..., Any]")


def pass_target(function: F) -> F:
    """Hand a command its Target in front of its own arguments."""

    @click.pass_context
    @functools.wraps(function)
    def wrapper(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        target: Target = ctx.obj
        return function(target, *args, **kwargs)

    return wrapper  # type: ignore[return-value]


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
    return function


def mutating(function: F) -> F:
    """Add what changes take: whether to try only, and the id that makes a repeat harmless."""
    for option in (
        click.option("--validate-only", is_flag=True, help="Check, and change nothing."),
        click.option("--request-id", default="", metavar="UUID4",
                     help="The same again for a repeat of the same request."),
    ):  # fmt: skip
        function = option(function)
    return function


def waiting(function: F) -> F:
    """Add whether to wait for the operation's end."""
    for option in (
        click.option("--wait/--no-wait", default=True, show_default=True,
                     help="Wait until the operation has ended."),
        click.option("-q", "--quiet", is_flag=True, help="No progress bar."),
    ):  # fmt: skip
        function = option(function)
    return mutating(function)
