"""The grammar of filters: a subset of AIP-160 that is compiled to a predicate.

    filter      = [ expression ]
    expression  = sequence { "AND" sequence }
    sequence    = factor { factor }                a blank is AND too
    factor      = term { "OR" term }               OR binds closer than AND
    term        = [ "NOT" | "-" ] simple
    simple      = "(" expression ")" | field comparison value

A comparison is = != < <= > >= or `:` for has. Texts may have `*` at their ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.model.errors import InvalidInput, Violation
from fifo.model.filter import limits
from fifo.model.filter.comparing import UnsuitableError, compare, compare_key
from fifo.model.filter.schema import instead, names
from fifo.model.filter.tokens import Tokens

if TYPE_CHECKING:
    from typing import Any

    from fifo.model.filter.schema import Field, Predicate, Schema


def compile_filter(text: str, schema: Schema) -> Predicate:
    """Make a predicate over records; an empty filter lets all pass.

    Called once a request, by whoever lists or watches. Raises InvalidInput with what is wanted and
    the place it is wanted at.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > limits.FILTER_BYTES:
        told = f"at most {limits.FILTER_BYTES} bytes, not {size}"
        raise InvalidInput("filter", (Violation("filter", told),))
    tokens = Tokens(text)
    if tokens.at_end():
        return _everything
    reading = _Reading(tokens, schema)
    predicate = reading.expression(0)
    if not tokens.at_end():
        raise tokens.refusal("AND, OR or the end")
    return predicate


def _everything(record: Any) -> bool:
    del record
    return True


class _Reading:
    """One filter being read; recursion is bounded by the bound on parentheses."""

    def __init__(self, tokens: Tokens, schema: Schema) -> None:
        self._tokens = tokens
        self._schema = schema
        self._terms = 0

    def expression(self, depth: int) -> Predicate:
        """Read factors until the end or a closing parenthesis; AND between them may be absent."""
        parts = [self._factor(depth)]
        while not self._tokens.at_end() and not self._tokens.sees(")"):
            self._tokens.take_keyword("AND")
            parts.append(self._factor(depth))
        return _every(parts)

    def _factor(self, depth: int) -> Predicate:
        parts = [self._term(depth)]
        while self._tokens.take_keyword("OR"):
            parts.append(self._term(depth))
        return _some(parts)

    def _term(self, depth: int) -> Predicate:
        negated = self._tokens.take_keyword("NOT") or self._tokens.take("-")
        inner = self._simple(depth)
        return (lambda record: not inner(record)) if negated else inner

    def _simple(self, depth: int) -> Predicate:
        if not self._tokens.sees("("):
            return self._restriction()
        if depth >= limits.DEPTH:
            raise self._tokens.refusal(f"at most {limits.DEPTH} parentheses inside each other")
        self._tokens.take("(")
        inner = self.expression(depth + 1)
        if not self._tokens.take(")"):
            raise self._tokens.refusal("a closing parenthesis")
        return inner

    def _restriction(self) -> Predicate:
        tokens = self._tokens
        at = tokens.at
        self._terms += 1
        if self._terms > limits.TERMS:
            raise tokens.refusal(f"at most {limits.TERMS} restrictions")
        name = tokens.field()
        field, key = self._field(name, at)
        sign = tokens.operator()
        at = tokens.at
        value = tokens.value()
        try:
            return compare_key(field, key, sign, value) if key else compare(field, sign, value)
        except UnsuitableError as error:
            raise tokens.refusal(f"for {name} {error}", at) from None

    def _field(self, name: str, at: int) -> tuple[Field, str]:
        field = self._schema.get(name)
        if field is not None:
            return field, ""
        head, _, key = name.partition(".")
        field = self._schema.get(head)
        if field is not None and field.kind == "map" and key:
            return field, key
        told = f"a field there is, not {name[: limits.SHOWN_CHARACTERS]!r},"
        raise self._tokens.refusal(told, at, f"; {instead(name, names(self._schema))}")


def _every(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    first, *others = parts
    if len(others) == 1:
        second = others[0]
        return lambda record: first(record) and second(record)
    return lambda record: all(part(record) for part in parts)


def _some(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    first, *others = parts
    if len(others) == 1:
        second = others[0]
        return lambda record: first(record) or second(record)
    return lambda record: any(part(record) for part in parts)
