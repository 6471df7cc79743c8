"""Payloads: the values that may cross to another node, and their form on the way.

A payload is built of None, bool, int, float, str, bytes, list, tuple, dict, pids, refs and of the
classes that were registered, and of nothing else: reading one can only ever make such values, so
no peer can have code run here. The form is JSON, with arrays that begin with a letter for what
JSON has not; it shares nothing with the value it was made from.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from supervisors import limits
from supervisors.errors import PayloadError
from supervisors.pid import Pid
from supervisors.reasons import Crash, Opaque, RemoteCrash
from supervisors.ref import Ref
from supervisors.remote.refs import RemoteName
from supervisors.remote.standard_payloads import STANDARD

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C")

# First letters of the arrays.
_LIST: Final = "l"
_TUPLE: Final = "t"
_DICT: Final = "d"
_BYTES: Final = "b"
_FLOAT: Final = "f"
_PID: Final = "p"
_REF: Final = "r"
_NAME: Final = "n"
_RECORD: Final = "o"

_AS_THEY_ARE: Final = frozenset({type(None), bool, int, str})
"""Classes that JSON has, exactly; their subclasses would come out as something else."""
_ODD_FLOATS: Final = frozenset({"nan", "inf", "-inf"})


class Addresses(Protocol):
    """Who makes refs of what was read: the node's `Distribution`."""

    def address(self, pid: Pid) -> Ref[Any]:
        """Give the ref of a pid, wherever its process lives."""

    def remote(self, name: Any, node_name: str) -> Ref[Any]:
        """Give the address of a name on a node."""


class _Form(NamedTuple):
    name: str
    take_apart: Callable[[Any], dict[str, Any]]
    put_together: Callable[[dict[str, Any]], Any]


class _Unencodable(Exception):  # noqa: N818 - never leaves this module
    """Why a value has no form; `path` grows on the way out of the nested values."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.path: list[str] = []


class Payloads:
    """The registry of payload classes of one program; both ends of a link register the same names.

    Register everything before the first node is connected; after that it is only read, by any
    thread.
    """

    def __init__(self) -> None:
        self._forms: dict[type, _Form] = {}
        self._named: dict[str, _Form] = {}
        for payload_class, name, take_apart, put_together in STANDARD:
            self.register(payload_class, name, take_apart=take_apart, put_together=put_together)

    def register(
        self,
        payload_class: type[C],
        name: str | None = None,
        *,
        take_apart: Callable[[C], dict[str, Any]] | None = None,
        put_together: Callable[[dict[str, Any]], Any] | None = None,
    ) -> type[C]:
        """Let instances of a class cross, under a name that both nodes know it by.

        A dataclass is taken apart into its fields and put together by its constructor; fields the
        reader does not know are passed over and missing ones take their default, so that a
        release can add a field with a default. Any other class comes with the two functions.
        Gives the class, so that it can decorate. Raises PayloadError for a name that is taken and
        for a class it cannot take apart.
        """
        known_as = name if name is not None else payload_class.__name__
        if payload_class in self._forms or known_as in self._named:
            raise PayloadError(f"the payload {known_as!r} is registered already; choose a name")
        if take_apart is None or put_together is None:
            if not dataclasses.is_dataclass(payload_class):
                raise PayloadError(
                    f"{payload_class.__qualname__} is no dataclass: register it with take_apart "
                    "and put_together"
                )
            take_apart, put_together = _dataclass_functions(payload_class)
        form = _Form(known_as, take_apart, put_together)
        self._forms[payload_class] = self._named[known_as] = form
        return payload_class

    # -- writing -----------------------------------------------------------------------------

    def encode(self, value: Any) -> bytes:
        """Give the form of a value; called by the sender, on its thread.

        Raises PayloadError that names the part which cannot cross, and for a form larger than
        `limits.PAYLOAD_BYTES`.
        """
        try:
            return _dump(self._plain(value, limits.PAYLOAD_DEPTH, lenient=False))
        except _Unencodable as error:
            where = "".join(reversed(error.path))
            raise PayloadError(f"{error.why} (at payload{where})") from None

    def encode_reason(self, reason: Any) -> bytes:
        """Give the form of an exit reason or an error; never raises.

        What cannot cross becomes `Opaque` text in its place, a `Crash` becomes a `RemoteCrash`.
        """
        try:
            return _dump(self._plain(reason, limits.PAYLOAD_DEPTH, lenient=True))
        except _Unencodable:
            return _dump(self._plain(Opaque.of(reason), limits.PAYLOAD_DEPTH, lenient=True))

    def _plain(self, value: Any, depth: int, *, lenient: bool) -> Any:
        kind = value.__class__
        if kind in _AS_THEY_ARE:
            return value
        if not depth:
            raise _Unencodable(f"nested deeper than {limits.PAYLOAD_DEPTH}: flatten it")
        if kind is float:
            return value if isfinite(value) else [_FLOAT, repr(value)]
        if kind is list or kind is tuple:
            items = self._items(enumerate(value), depth - 1, lenient=lenient)
            return [_LIST if kind is list else _TUPLE, *items]
        if kind is dict:
            return self._dict(value, depth, lenient=lenient)
        if kind is bytes:
            return [_BYTES, base64.b64encode(value).decode("ascii")]
        return self._address_or_record(value, depth, lenient=lenient)

    def _dict(self, value: dict[Any, Any], depth: int, *, lenient: bool) -> Any:
        if all(key.__class__ is str for key in value):
            items = self._items(value.items(), depth - 1, lenient=lenient)
            return dict(zip(value, items, strict=True))
        pairs = self._items(enumerate(value.items()), depth - 1, lenient=lenient)
        return [_DICT, *pairs]

    def _address_or_record(self, value: Any, depth: int, *, lenient: bool) -> Any:
        if value.__class__ is Pid:
            return [_PID, *value]
        if isinstance(value, RemoteName):
            named = self._plain(value.name, depth - 1, lenient=lenient)
            return [_NAME, named, value.node_name]
        if isinstance(value, Ref):
            return [_REF, *value.pid]
        return self._record(value, depth, lenient=lenient)

    def _record(self, value: Any, depth: int, *, lenient: bool) -> Any:
        if value.__class__ is Crash:
            value = RemoteCrash.of(value)
        form = self._forms.get(value.__class__)
        if form is None:
            if not lenient:
                raise _Unencodable(
                    f"{type(value).__module__}.{type(value).__qualname__} is not registered as a "
                    "payload: register the class, or send plain data"
                )
            value = Opaque.of(value)
            form = self._forms[Opaque]
        fields = form.take_apart(value)
        items = self._items(fields.items(), depth - 1, lenient=lenient)
        return [_RECORD, form.name, dict(zip(fields, items, strict=True))]

    def _items(self, items: Any, depth: int, *, lenient: bool) -> list[Any]:
        key: Any = None
        plain = []
        try:
            for key, value in items:  # noqa: B007 - the key is for the error's path
                plain.append(self._plain(value, depth, lenient=lenient))
        except _Unencodable as error:
            error.path.append(f"[{key!r}]")
            raise
        return plain

    # -- reading -----------------------------------------------------------------------------

    def decode(self, data: bytes, addresses: Addresses) -> Any:
        """Make the value of a form; called by the receiver, on its shard's thread.

        Raises PayloadError for anything that `encode` with the same registrations cannot give.
        """
        try:
            return self._value(json.loads(data), addresses)
        except PayloadError:
            raise
        except Exception as error:  # noqa: BLE001
            # Whatever a peer's data or a class's constructor does, it ends this payload alone.
            raise PayloadError(f"unreadable payload, {type(error).__name__}: {error}") from None

    def decode_reason(self, data: bytes, addresses: Addresses) -> Any:
        """Make an exit reason of its form; what cannot be read becomes `Opaque`, never an error."""
        try:
            return self.decode(data, addresses)
        except PayloadError:
            return Opaque("unreadable", repr(data[: limits.REASON_CHARACTERS]))

    def _value(self, plain: Any, addresses: Addresses) -> Any:
        kind = plain.__class__
        if kind is dict:
            return {key: self._value(item, addresses) for key, item in plain.items()}
        if kind is not list:
            return plain
        match plain:
            case ["l", *items]:
                return [self._value(item, addresses) for item in items]
            case ["t", *items]:
                return tuple([self._value(item, addresses) for item in items])
            case ["d", *pairs]:
                return dict(self._value(pair, addresses) for pair in pairs)
            case _:
                return self._odd_value(plain, addresses)

    def _odd_value(self, plain: list[Any], addresses: Addresses) -> Any:
        match plain:
            case ["b", str(text)]:
                value: Any = base64.b64decode(text, validate=True)
            case ["f", str(text)] if text in _ODD_FLOATS:
                value = float(text)
            case ["p", str(node), int(creation), int(serial)]:
                value = Pid(node, creation, serial)
            case ["r", str(node), int(creation), int(serial)]:
                value = addresses.address(Pid(node, creation, serial))
            case ["n", name, str(node)]:
                value = addresses.remote(self._value(name, addresses), node)
            case ["o", str(name), dict(fields)]:
                value = self._put_together(name, fields, addresses)
            case _:
                raise PayloadError(f"unreadable payload: an array that begins with {plain[:1]!r}")
        return value

    def _put_together(self, name: str, fields: dict[str, Any], addresses: Addresses) -> Any:
        form = self._named.get(name)
        if form is None:
            raise PayloadError(f"the payload {name!r} is not registered on this node")
        values = {key: self._value(item, addresses) for key, item in fields.items()}
        return form.put_together(values)


def _dataclass_functions(payload_class: Any) -> tuple[Any, Any]:
    names = tuple(field.name for field in dataclasses.fields(payload_class) if field.init)

    def take_apart(value: Any) -> dict[str, Any]:
        return {name: getattr(value, name) for name in names}

    def put_together(fields: dict[str, Any]) -> Any:
        return payload_class(**{name: fields[name] for name in names if name in fields})

    return take_apart, put_together


def _dump(plain: Any) -> bytes:
    try:
        data = json.dumps(plain, allow_nan=False, separators=(",", ":")).encode("ascii")
    except ValueError as error:
        raise _Unencodable(f"no form for it: {error}") from None
    if len(data) > limits.PAYLOAD_BYTES:
        raise _Unencodable(
            f"{len(data)} bytes are more than {limits.PAYLOAD_BYTES}: send it in parts"
        )
    return data
