"""The check of requests against their descriptors: every violation is listed at once.

A check is made for each message type when the server starts; a request then costs only what is set
in it. Fields that are output only are passed over, as AIP-203 has it.
"""

from __future__ import annotations

import ipaddress
import math
import re
from typing import TYPE_CHECKING, Any, Final

from google.api import field_behavior_pb2, field_info_pb2
from google.protobuf.descriptor import FieldDescriptor

from fifo.api import limits, masks, name_forms
from fifo.api.field_rules import PAGE_SIZE, RULES, Rule
from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    Check = Callable[[Any, str, "Found"], None]

UUID4: Final = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_VIOLATIONS_FOUND: Final = 200
"""Violations after which a check stops: more than are told, and no request buys more time."""
_NO_RULE: Final = Rule()
_SCALARS: Final = frozenset({"number_value", "string_value", "bool_value"})
_NANOS: Final = 1_000_000_000
_YEAR_1_S: Final = -62_135_596_800
_YEAR_9999_S: Final = 253_402_300_799
"""The bounds of a timestamp, as timestamp.proto has them."""
_UPDATE_MASK: Final = "update_mask"
_KEY_CHARACTERS: Final = 255
"""A key of tags or metadata (vmadm's mdata: 255)."""


class Found:
    """The violations found so far."""

    __slots__ = ("violations",)

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, path: str, wanted: str) -> None:
        """Note one, unless there are so many already that nobody is told of it."""
        if len(self.violations) < _VIOLATIONS_FOUND:
            self.violations.append(Violation(path, wanted))


class Validation:
    """The checks of all message types that were asked for; made once, shared by all calls."""

    def __init__(self) -> None:
        self._messages: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {}

    def checker(self, request: type[Message]) -> Callable[[Message], None]:
        """Give the check of a request type, which raises InvalidInput with all violations."""
        described: Any = request.DESCRIPTOR
        checks, required = self._of(described)

        def check(message: Message) -> None:
            found = Found()
            self._run(message, "", found, checks, required)
            if found.violations:
                raise InvalidInput(described.name, tuple(found.violations))

        return check

    def _run(
        self,
        message: Message,
        prefix: str,
        found: Found,
        checks: dict[str, Check],
        required: tuple[str, ...],
    ) -> None:
        set_fields = message.ListFields()
        for field, value in set_fields:
            check = checks.get(field.name)
            if check is not None:
                check(value, prefix + field.name, found)
        if required:
            given = {field.name for field, _ in set_fields}
            for name in required:
                if name not in given:
                    found.add(prefix + name, "a value: it is required")

    def _of(self, described: Descriptor) -> tuple[dict[str, Check], tuple[str, ...]]:
        known = self._messages.get(described.full_name)
        if known is not None:
            return known
        checks: dict[str, Check] = {}
        required: list[str] = []
        # Known before its fields are looked at: a message may contain itself.
        entry = (checks, ())
        self._messages[described.full_name] = entry
        for field in described.fields:
            behaviors = _behaviors(field)
            if "OUTPUT_ONLY" in behaviors:
                continue
            if "REQUIRED" in behaviors:
                required.append(field.name)
            checks[field.name] = self._field(field)
        self._messages[described.full_name] = done = (checks, tuple(required))
        return done

    def _field(self, field: FieldDescriptor) -> Check:
        assert field.containing_type is not None
        usual = PAGE_SIZE if field.name == "page_size" else _NO_RULE
        rule = RULES.get(f"{field.containing_type.name}.{field.name}", usual)
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            return self._map(message, rule)
        if field.is_repeated:
            one = self._one(field, Rule(most=rule.each, waives=rule.waives))
            return _repeated(one, rule)
        return self._one(field, rule)

    def _one(self, field: FieldDescriptor, rule: Rule) -> Check:
        message = field.message_type
        if message is not None:
            return self._message(field, message, rule)
        if field.type == FieldDescriptor.TYPE_STRING:
            reads = name_forms.of_field(field)
            return _text(field, rule) if reads is None else _name(reads)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return _bytes(rule)
        if field.type == FieldDescriptor.TYPE_ENUM:
            return _enum(field)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return _anything
        return _number(rule)

    def _message(self, field: FieldDescriptor, message: Descriptor, rule: Rule) -> Check:
        match message.full_name:
            case "google.protobuf.Duration":
                return _duration(rule)
            case "google.protobuf.Timestamp":
                return _timestamp
            case "google.protobuf.Struct":
                return _scalars
            case "google.protobuf.Any":
                return _anything
        checks, _ = self._of(message)
        waived = rule.waives
        owner = field.containing_type
        assert owner is not None
        # What is made has the name that its request says beside it; what is changed its own.
        reads = name_forms.of_resource(message) if owner.name.startswith("Update") else None
        changed = _changed(owner) if field.name == _UPDATE_MASK else None

        def check(value: Any, path: str, found: Found) -> None:
            own, required = self._messages[message.full_name]
            if waived:
                required = tuple(name for name in required if name not in waived)
            self._run(value, f"{path}.", found, own, required)
            if reads is not None:
                _check_name(reads, value.name, f"{path}.name", found)
            if changed is not None:
                for _, wanted in masks.astray(changed, value, path):
                    found.add(path, wanted)

        assert checks is not None
        return check

    def _map(self, entry: Descriptor, rule: Rule) -> Check:
        value_field = entry.fields_by_name["value"]
        one = self._one(value_field, Rule(most=rule.each))
        most = int(rule.most if rule.most is not None else limits.ITEMS)

        def check(value: Any, path: str, found: Found) -> None:
            if len(value) > most:
                found.add(path, f"at most {most} entries, not {len(value)}")
                return
            for key in value:
                _check_key(key, path, found)
                one(value[key], f"{path}.{key[:40]}", found)

        return check


def _changed(request: Descriptor) -> Descriptor:
    """Give the type of the resource that an update's mask is of."""
    inner = (field.message_type for field in request.fields)
    return next(own for own in inner if own is not None and name_forms.of_resource(own))


def _behaviors(field: FieldDescriptor) -> set[str]:
    extensions: Any = field.GetOptions().Extensions
    listed = extensions[field_behavior_pb2.field_behavior]
    return {field_behavior_pb2.FieldBehavior.Name(value) for value in listed}


def _format(field: FieldDescriptor) -> str:
    extensions: Any = field.GetOptions().Extensions
    info = extensions[field_info_pb2.field_info]
    name: str = field_info_pb2.FieldInfo.Format.Name(info.format)
    return name


def _anything(value: Any, path: str, found: Found) -> None:
    del value, path, found


def _repeated(one: Check, rule: Rule) -> Check:
    most = int(rule.most if rule.most is not None else limits.ITEMS)

    def check(value: Any, path: str, found: Found) -> None:
        if len(value) > most:
            found.add(path, f"at most {most} entries, not {len(value)}")
            return
        for index, item in enumerate(value):
            one(item, f"{path}[{index}]", found)

    return check


def _text(field: FieldDescriptor, rule: Rule) -> Check:
    most = int(rule.most if rule.most is not None else limits.STRING_CHARACTERS)
    pattern, wanted, lines = rule.pattern, rule.wanted, rule.lines
    if _format(field) == "UUID4":
        pattern, wanted = UUID4, "a UUID4"
    address = _format(field) == "IPV4_OR_IPV6"

    def check(value: str, path: str, found: Found) -> None:
        if len(value) > most:
            found.add(path, f"at most {most} characters, not {len(value)}")
        elif pattern is not None:
            if pattern.fullmatch(value) is None:
                found.add(path, wanted)
        elif address:
            _check_address(value, path, found)
        elif lines:
            if "\0" in value:
                found.add(path, "a text without NUL")
        elif not value.isprintable() and _CONTROL.search(value):
            found.add(path, "one line of text, without control characters")

    return check


def _name(reads: Callable[[str], object]) -> Check:
    most = limits.STRING_CHARACTERS

    def check(value: str, path: str, found: Found) -> None:
        if len(value) > most:
            found.add(path, f"at most {most} characters, not {len(value)}")
        else:
            _check_name(reads, value, path, found)

    return check


def _check_name(reads: Callable[[str], object], value: str, path: str, found: Found) -> None:
    try:
        reads(value)
    except InvalidInput as error:
        if all(told.field != path for told in found.violations):
            found.add(path, error.violations[0].wanted)


def _check_address(value: str, path: str, found: Found) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        found.add(path, "an IPv4 or IPv6 address")


def _check_key(key: str, path: str, found: Found) -> None:
    if not key or len(key) > _KEY_CHARACTERS or _CONTROL.search(key):
        found.add(path, f"keys of 1 to {_KEY_CHARACTERS} characters without control characters")


def _bytes(rule: Rule) -> Check:
    most = int(rule.most if rule.most is not None else limits.CHUNK_BYTES)

    def check(value: bytes, path: str, found: Found) -> None:
        if len(value) > most:
            found.add(path, f"at most {most} bytes, not {len(value)}")

    return check


def _enum(field: FieldDescriptor) -> Check:
    described = field.enum_type
    assert described is not None
    known = frozenset(described.values_by_number)
    named = ", ".join(value.name for value in described.values[1:])

    def check(value: int, path: str, found: Found) -> None:
        if value not in known:
            found.add(path, f"one of {named}")

    return check


def _written(number: float) -> str:
    """Write a bound as people do, without an exponent."""
    return f"{int(number):,}" if number == int(number) else f"{number:,}"


def _number(rule: Rule) -> Check:
    least = rule.least if rule.least is not None else 0
    most = rule.most if rule.most is not None else 2**62
    wanted = rule.wanted or f"{_written(least)} to {_written(most)}"
    if rule.most is None:
        wanted = f"{_written(least)} or more"

    def check(value: float, path: str, found: Found) -> None:
        if not least <= value <= most:
            found.add(path, wanted)

    return check


def _duration(rule: Rule) -> Check:
    least = rule.least if rule.least is not None else 0.0
    most = rule.most if rule.most is not None else 86_400.0

    def check(value: Any, path: str, found: Found) -> None:
        seconds = value.seconds + value.nanos / 1e9
        if not least <= seconds <= most or abs(value.nanos) >= _NANOS:
            found.add(path, f"{_written(least)} s to {_written(most)} s")

    return check


def _timestamp(value: Any, path: str, found: Found) -> None:
    if not _YEAR_1_S <= value.seconds <= _YEAR_9999_S or not 0 <= value.nanos < _NANOS:
        found.add(path, "a time in the years 1 to 9999")


def _scalars(value: Any, path: str, found: Found) -> None:
    """Check tags and metadata: bounded keys, scalar values, no text with NUL."""
    fields = value.fields
    if len(fields) > limits.ITEMS:
        found.add(path, f"at most {limits.ITEMS} entries, not {len(fields)}")
        return
    for key, item in fields.items():
        own = f"{path}.{key[:40]}"
        _check_key(key, path, found)
        kind = item.WhichOneof("kind")
        if kind not in _SCALARS:
            found.add(own, "a string, a number or a boolean")
        elif kind == "string_value" and (
            len(item.string_value) > limits.LONG_TEXT_CHARACTERS or "\0" in item.string_value
        ):
            found.add(own, f"at most {limits.LONG_TEXT_CHARACTERS} characters without NUL")
        elif kind == "number_value" and not math.isfinite(item.number_value):
            found.add(own, "a finite number")
