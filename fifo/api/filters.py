"""Filters of lists and watches: a subset of AIP-160 over the fields of a resource.

Restrictions `field = value` (also != < <= > >= and `:` for has), AND, OR, NOT, parentheses. OR
binds closer than AND, as AIP-160 has it. Values are checked against the field's type; what is
unknown is refused with the place it stands at.
"""

from __future__ import annotations

import datetime as dt
import operator
import re
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor import FieldDescriptor

from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import Descriptor

    Predicate = Callable[[Any], bool]
    Read = Callable[[Any], Any]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<op><=|>=|!=|[=<>:])|(?P<paren>[()])"""
    r"""|(?P<word>[^\s()=<>!:"]+))"""
)
_COMPARE: Final = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TERMS: Final = 64
"""Restrictions in one filter: what a person or a program writes, and a bound on a list's work."""
_DEPTH: Final = 16
"""Parentheses inside each other."""
_FLOATS: Final = frozenset({FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT})


def compile_filter(text: str, described: Descriptor) -> Predicate:
    """Make a predicate over messages of a type; an empty filter lets all pass.

    Raises InvalidInput.
    """
    if not text.strip():
        return _all
    return _Parser(text, described).parse()


def _all(message: Any) -> bool:
    del message
    return True


class _Parser:
    """Reads one filter from left to right."""

    def __init__(self, text: str, described: Descriptor) -> None:
        self._text = text
        self._described = described
        self._tokens = self._split()
        self._at = 0
        self._terms = 0

    def parse(self) -> Predicate:
        predicate = self._and(0)
        if self._kind():
            self._refuse("AND or OR")
        return predicate

    # -- grammar -----------------------------------------------------------------------------

    def _and(self, depth: int) -> Predicate:
        parts = [self._or(depth)]
        while self._kind() and not self._is("paren", ")"):
            if self._is("word", "AND"):
                self._at += 1
            parts.append(self._or(depth))
        return parts[0] if len(parts) == 1 else lambda message: all(p(message) for p in parts)

    def _or(self, depth: int) -> Predicate:
        parts = [self._not(depth)]
        while self._is("word", "OR"):
            self._at += 1
            parts.append(self._not(depth))
        return parts[0] if len(parts) == 1 else lambda message: any(p(message) for p in parts)

    def _not(self, depth: int) -> Predicate:
        if self._is("word", "NOT"):
            self._at += 1
            inner = self._term(depth)
            return lambda message: not inner(message)
        return self._term(depth)

    def _term(self, depth: int) -> Predicate:
        if self._is("paren", "("):
            if depth >= _DEPTH:
                self._refuse(f"at most {_DEPTH} parentheses inside each other")
            self._at += 1
            inner = self._and(depth + 1)
            if not self._is("paren", ")"):
                self._refuse("a closing parenthesis")
            self._at += 1
            return inner
        self._terms += 1
        if self._terms > _TERMS:
            self._refuse(f"at most {_TERMS} restrictions")
        return self._restriction()

    def _restriction(self) -> Predicate:
        if self._kind() != "word":
            self._refuse("a field")
        path = self._take()
        if self._kind() != "op":
            self._refuse("one of = != < <= > >= :")
        compare = self._take()
        if self._kind() not in {"word", "text"}:
            self._refuse("a value")
        quoted = self._kind() == "text"
        value = self._take()
        if quoted:
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        return self._compile(path, compare, value)

    # -- tokens ------------------------------------------------------------------------------

    def _split(self) -> list[tuple[str, str]]:
        tokens = []
        at = 0
        rest = self._text.rstrip()
        while at < len(rest):
            found = _TOKEN.match(rest, at)
            if found is None:
                self._refuse(f"no {rest[at : at + 10]!r}", at)
            assert found is not None
            assert found.lastgroup is not None
            tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        return tokens

    def _kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _is(self, kind: str, token: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] == (kind, token)

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _refuse(self, wanted: str, at: int | None = None) -> Any:
        where = "at the end"
        if at is not None:
            where = f"at character {at + 1}"
        elif self._at < len(self._tokens):
            where = f"before {self._tokens[self._at][1][:40]!r}"
        raise InvalidInput("filter", (Violation("filter", f"{wanted} {where}"),))

    # -- fields ------------------------------------------------------------------------------

    def _compile(self, path: str, compare: str, value: str) -> Predicate:
        field, key, read = self._field(path)
        inner = field.message_type
        if key:
            return self._of_key(read, key, compare, value)
        if inner is not None and _is_map(inner):
            if compare != ":":
                self._refuse(f"{path}.key, or {path}:key")
            return lambda message: value == "*" or value in read(message)
        if field.is_repeated:
            if compare != ":":
                self._refuse(f"`:` with the list {path}")
            item = self._literal(field, value, path)
            return lambda message: item in read(message)
        return self._of_scalar(field, read, compare, value, path)

    def _of_scalar(
        self, field: FieldDescriptor, read: Read, compare: str, value: str, path: str
    ) -> Predicate:
        if compare == ":" and value == "*":
            default = field.default_value
            return lambda message: bool(read(message) != default)
        wanted = self._literal(field, value, path)
        if compare == ":" or (isinstance(wanted, str) and "*" in wanted and compare in "=!="):
            return _wild(read, str(wanted), negated=compare == "!=")
        comparing = _COMPARE[compare]
        if isinstance(wanted, bool) and compare not in {"=", "!="}:
            self._refuse(f"= or != with {path}")
        if field.message_type is not None:
            return lambda message: bool(comparing(_utc(read(message)), wanted))
        return lambda message: bool(comparing(read(message), wanted))

    def _field(self, path: str) -> tuple[FieldDescriptor, str, Read]:
        """Follow a path to its field, through messages and into a map's key."""
        described = self._described
        names: list[str] = []
        parts = path.split(".")
        for index, part in enumerate(parts):
            field = described.fields_by_name.get(part)
            if field is None:
                self._refuse(f"a field of {described.name}, which {path[:80]!r} is not,")
            assert field is not None
            names.append(part)
            rest = ".".join(parts[index + 1 :])
            inner = field.message_type
            if not rest or (inner is not None and _is_map(inner)):
                return field, rest, _reader(names, struct=_is_struct(field))
            if inner is None or field.is_repeated:
                self._refuse(f"nothing behind {part}")
            assert inner is not None
            described = inner
        raise AssertionError(path)

    def _of_key(self, read: Read, key: str, compare: str, value: str) -> Predicate:
        """Compare what a map or a Struct holds under a key, in whatever type that is."""
        if compare == ":" and value == "*":
            return lambda message: key in read(message)
        comparing = _COMPARE["=" if compare == ":" else compare]

        def matches(message: Any) -> bool:
            found = read(message)
            if key not in found:
                return compare == "!="
            own = found[key]
            if hasattr(own, "WhichOneof"):
                own = getattr(own, own.WhichOneof("kind") or "string_value")
            try:
                return bool(comparing(own, _like(own, value)))
            except ValueError:
                return compare == "!="

        return matches

    def _literal(self, field: FieldDescriptor, value: str, path: str) -> Any:
        """Read a value as its field's type has it."""
        kind = field.cpp_type
        if field.enum_type is not None:
            number = field.enum_type.values_by_name.get(value)
            if number is None:
                listed = ", ".join(own.name for own in field.enum_type.values[1:])
                self._refuse(f"for {path} one of {listed}")
            assert number is not None
            return number.number
        try:
            if field.message_type is not None:
                return _time(value)
            if kind == FieldDescriptor.CPPTYPE_STRING:
                return value
            if kind == FieldDescriptor.CPPTYPE_BOOL:
                return {"true": True, "false": False}[value.lower()]
            return float(value) if kind in _FLOATS else int(value)
        except (ValueError, KeyError):
            wanted = "a time like 2026-01-31T12:00:00Z" if field.message_type else "a value"
            self._refuse(f"{wanted} for {path}, which {value[:40]!r} is not,")


def _is_map(inner: Descriptor) -> bool:
    return inner.GetOptions().map_entry or inner.full_name == "google.protobuf.Struct"


def _is_struct(field: FieldDescriptor) -> bool:
    inner = field.message_type
    return inner is not None and inner.full_name == "google.protobuf.Struct"


def _reader(names: list[str], *, struct: bool) -> Read:
    if len(names) == 1 and not struct:
        return operator.attrgetter(names[0])
    return operator.attrgetter(".".join([*names, "fields"] if struct else names))


def _wild(read: Read, wanted: str, *, negated: bool) -> Predicate:
    """Match texts with `*` for anything at either end (AIP-160)."""
    pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("*")), re.DOTALL)

    def matches(message: Any) -> bool:
        return (pattern.fullmatch(str(read(message))) is not None) != negated

    return matches


def _time(text: str) -> float:
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        found = found.replace(tzinfo=dt.UTC)
    return found.timestamp()


def _utc(stamp: Any) -> float:
    return float(stamp.seconds + stamp.nanos / 1e9)


def _like(own: Any, value: str) -> Any:
    """Read a value as the type that is there; raises ValueError."""
    if isinstance(own, bool):
        if value.lower() not in {"true", "false"}:
            raise ValueError(value)
        return value.lower() == "true"
    return type(own)(value)
