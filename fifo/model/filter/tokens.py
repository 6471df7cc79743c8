"""The words of a filter, read one after the other, with the place that each stands at."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from fifo.model.errors import InvalidInput, Violation
from fifo.model.filter import limits

_SPACE: Final = re.compile(r"\s*")
_WORD: Final = re.compile(r"[^\s()=<>!:\"']+")
_VALUE: Final = re.compile(r"[^\s()=<>!\"']+")
"""A value may have colons, as times do."""
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"|' + r"'((?:[^'\\]|\\.)*+)'", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_OPERATOR: Final = re.compile(r"<=|>=|!=|[=<>:]")


class Value(NamedTuple):
    """A value as it was written; a quoted one is never a keyword, and its stars may be escaped.

    `starts` and `ends` tell that anything may stand before or behind `text` (a star there).
    """

    text: str
    starts: bool = False
    ends: bool = False

    @property
    def anything(self) -> bool:
        """Tell whether it is a star alone."""
        return not self.text and (self.starts or self.ends)


class Tokens:
    """Where reading a filter has got to; refuses with the place."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _skip(self) -> int:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def at_end(self) -> bool:
        """Tell whether all is read."""
        return self._skip() >= len(self._text)

    def take(self, sign: str) -> bool:
        """Read a sign, if it comes next."""
        if not self._text.startswith(sign, self._skip()):
            return False
        self._at += len(sign)
        return True

    def sees(self, sign: str) -> bool:
        """Tell whether a sign comes next."""
        return self._text.startswith(sign, self._skip())

    def take_keyword(self, keyword: str) -> bool:
        """Read AND, OR or NOT, if it comes next as a whole word."""
        found = _WORD.match(self._text, self._skip())
        if found is None or found[0] != keyword:
            return False
        self._at = found.end()
        return True

    def field(self) -> str:
        """Read a field's name; a key behind a dot may be quoted: tags."my key"."""
        found = _WORD.match(self._text, self._skip())
        if found is None:
            raise self.refusal("a field")
        self._at = found.end()
        quoted = _QUOTED.match(self._text, self._at) if found[0].endswith(".") else None
        if quoted is None:
            return found[0]
        self._at = quoted.end()
        return found[0] + _ESCAPED.sub(r"\1", quoted[1] if quoted[1] is not None else quoted[2])

    def operator(self) -> str:
        """Read a comparison."""
        found = _OPERATOR.match(self._text, self._skip())
        if found is None:
            raise self.refusal("one of = != < <= > >= :")
        self._at = found.end()
        return found[0]

    def value(self) -> Value:
        """Read a value, quoted or not."""
        found = _QUOTED.match(self._text, self._skip())
        if found is not None:
            self._at = found.end()
            return _unquoted(found[1] if found[1] is not None else found[2])
        found = _VALUE.match(self._text, self._at)
        if found is None:
            unended = self._text[self._at : self._at + 1] in {'"', "'"}
            raise self.refusal("the end of the quotes" if unended else "a value")
        self._at = found.end()
        return _unquoted(found[0].replace("\\", "\\\\"))

    @property
    def at(self) -> int:
        """The place of what comes next."""
        return self._skip()

    def refusal(self, wanted: str, at: int | None = None, more: str = "") -> InvalidInput:
        """Make the error that says what is wanted, where, and what more there is to know."""
        place = self._skip() if at is None else at
        rest = self._text[place : place + limits.SHOWN_CHARACTERS]
        where = f"at character {place + 1}: {rest!r}" if rest else "at the end"
        return InvalidInput("filter", (Violation("filter", f"{wanted} {where}{more}"),))


def _unquoted(raw: str) -> Value:
    """Take the stars off both ends and the backslashes off what they stand before."""
    starts = raw.startswith("*")
    rest = raw[1:] if starts else raw
    # An even number of backslashes before it stand for themselves.
    before = rest[:-1]
    escaped = (len(before) - len(before.rstrip("\\"))) % 2 == 1
    ends = rest.endswith("*") and not escaped
    return Value(_ESCAPED.sub(r"\1", rest[:-1] if ends else rest), starts, ends)
