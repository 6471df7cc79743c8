"""Orders of lists, as AIP-132 has them: `create_time desc, alias`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from fifo.model.errors import InvalidInput, Violation
from fifo.model.filter import limits
from fifo.model.filter.schema import instead

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fifo.model.filter.schema import Schema

R = TypeVar("R")


class Order(NamedTuple):
    """One field that is ordered by."""

    field: str
    descending: bool = False


def parse_order_by(text: str, schema: Schema) -> tuple[Order, ...]:
    """Read an order; an empty text is none. Raises InvalidInput with all that is wrong."""
    orders: list[Order] = []
    wrong: list[str] = []
    parts = text.split(",") if text.strip() else []
    if len(parts) > limits.ORDERS:
        raise _refused(f"at most {limits.ORDERS} fields")
    sortable = [name for name, own in schema.items() if own.kind not in {"map", "texts"}]
    for part in parts:
        name, _, direction = part.strip().partition(" ")
        direction = direction.strip()
        if name not in sortable:
            shown = name[: limits.SHOWN_CHARACTERS]
            wrong.append(f"a field there is, not {shown!r}; {instead(name, sortable)}")
        elif direction not in {"", "asc", "desc"}:
            wrong.append(f"asc or desc behind {name}")
        elif name in {order.field for order in orders}:
            wrong.append(f"{name} once")
        else:
            orders.append(Order(name, direction == "desc"))
    if wrong:
        raise _refused(*wrong)
    return tuple(orders)


def ordered(records: Iterable[R], orders: Sequence[Order], schema: Schema) -> list[R]:
    """Sort records; those that are equal in all fields keep the order they came in."""
    made = list(records)
    for order in reversed(orders):
        made.sort(key=schema[order.field].read, reverse=order.descending)
    return made


def _refused(*wanted: str) -> InvalidInput:
    return InvalidInput("order_by", tuple(Violation("order_by", own) for own in wanted))
