"""Field masks: which fields a caller wants to read, and which to change (AIP-134, 161, 203)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.api import field_behavior_pb2

from fifo.model.errors import InvalidInput, Violation

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.field_mask_pb2 import FieldMask
    from google.protobuf.message import Message

ALL: Final = "*"
_STRUCT: Final = "google.protobuf.Struct"
_NEVER: Final = frozenset({"name", "etag"})
"""Fields of every resource that say which one is meant, and so are no change."""


def read(message: Any, mask: FieldMask) -> Any:
    """Give a message with the wanted fields alone; all of it for an empty mask or `*`.

    Raises InvalidInput for paths that lead nowhere.
    """
    paths = list(mask.paths)
    if not paths or paths == [ALL]:
        return message
    check_read(message.DESCRIPTOR, mask)
    made = type(message)()
    for path in paths:
        _copy(message, made, path.split("."))
    return made


def read_leniently(message: Any, mask: FieldMask) -> Any:
    """Give a message with the wanted fields alone; paths that it has not are passed over."""
    made = type(message)()
    for path in mask.paths:
        if path == ALL:
            return message
        parts = path.split(".")
        if _leads(message.DESCRIPTOR, parts):
            _copy(message, made, parts)
    return made


def check_read(described: Descriptor, mask: FieldMask) -> None:
    """Raise InvalidInput for paths that lead nowhere."""
    if wrong := astray(described, mask, "read_mask"):
        raise InvalidInput("read_mask", tuple(wrong))


def astray(described: Descriptor, mask: FieldMask, field: str) -> list[Violation]:
    """Tell which paths of a request's mask lead nowhere; `*` alone is all."""
    paths = list(mask.paths)
    if paths == [ALL]:
        return []
    return [
        Violation(field, f"paths of {described.name}, which {path[:80]!r} is not")
        for path in paths
        if not _leads(described, path.split("."))
    ]


def merge(current: Any, given: Any, mask: FieldMask, resource: str) -> Any:
    """Give the present resource with what a caller changes; raises InvalidInput, see `merged`."""
    made, wrong = merged(current, given, mask, resource)
    if wrong:
        raise InvalidInput(getattr(current, "name", resource), tuple(wrong))
    return made


def merged(current: Any, given: Any, mask: FieldMask, resource: str) -> tuple[Any, list[Violation]]:
    """Give the present resource with what a caller changes; `resource` names the request's field.

    Without a mask all that is given is changed, with `*` all that is settable, what is absent to
    its default. What is output only is passed over; what is immutable may only be repeated. Each
    path that is wrong is told, and changes nothing.
    """
    described = current.DESCRIPTOR
    wrong: list[Violation] = []
    paths = list(mask.paths)
    whole = paths == [ALL]
    if not paths:
        paths = [field.name for field, _ in given.ListFields()]
    elif whole:
        paths = [field.name for field in described.fields]
    else:
        wrong += astray(described, mask, "update_mask")
        paths = [path for path in paths if _leads(described, path.split("."))]
    made = type(current)()
    made.CopyFrom(current)
    for path in paths:
        parts = path.split(".")
        field = described.fields_by_name[parts[0]]
        behaviors = _behaviors(field)
        if parts[0] in _NEVER or "OUTPUT_ONLY" in behaviors:
            continue
        if "IMMUTABLE" in behaviors:
            # `*` leaves what is immutable alone where the caller does not repeat it.
            meant = _is_set(given, field) or (mask.paths and not whole)
            if meant and _value(given, parts) != _value(current, parts):
                wrong.append(Violation(f"{resource}.{path}", "what it is: it cannot be changed"))
            continue
        _clear(made, parts)
        _copy(given, made, parts)
    return made, wrong


def changed_fields(before: Any, after: Any) -> list[str]:
    """Give the names of the fields that differ."""
    names = {field.name for field, _ in (*before.ListFields(), *after.ListFields())}
    return sorted(name for name in names if getattr(before, name) != getattr(after, name))


# -- its parts ------------------------------------------------------------------------------------


def _leads(described: Descriptor, parts: list[str]) -> bool:
    """Tell whether a path leads to a field, through messages and into keys of maps."""
    field = described.fields_by_name.get(parts[0])
    if field is None:
        return False
    if len(parts) == 1:
        return True
    inner = field.message_type
    if inner is None:
        return False
    if inner.full_name == _STRUCT or inner.GetOptions().map_entry:
        return True
    return not field.is_repeated and _leads(inner, parts[1:])


def _copy(source: Any, target: Any, parts: list[str]) -> None:
    """Copy what a path leads to, if it is set."""
    field = source.DESCRIPTOR.fields_by_name[parts[0]]
    if not _is_set(source, field):
        return
    inner = field.message_type
    if len(parts) == 1:
        if inner is not None and not field.is_repeated:
            getattr(target, field.name).CopyFrom(getattr(source, field.name))
        elif inner is not None and inner.GetOptions().map_entry:
            getattr(target, field.name).MergeFrom(getattr(source, field.name))
        elif field.is_repeated:
            getattr(target, field.name).extend(getattr(source, field.name))
        else:
            setattr(target, field.name, getattr(source, field.name))
        return
    mapping, into = _map_of(source, field), _map_of(target, field)
    if mapping is None:
        _copy(getattr(source, field.name), getattr(target, field.name), parts[1:])
        return
    key = ".".join(parts[1:])
    if key in mapping:
        if hasattr(mapping[key], "CopyFrom"):
            into[key].CopyFrom(mapping[key])
        else:
            into[key] = mapping[key]


def _clear(message: Any, parts: list[str]) -> None:
    field = message.DESCRIPTOR.fields_by_name[parts[0]]
    if len(parts) == 1:
        message.ClearField(field.name)
        return
    mapping = _map_of(message, field)
    if mapping is not None:
        mapping.pop(".".join(parts[1:]), None)
    elif _is_set(message, field):
        _clear(getattr(message, field.name), parts[1:])


def _map_of(message: Any, field: FieldDescriptor) -> Any:
    """Give the mapping that a map or a Struct is; None for other messages."""
    inner = field.message_type
    assert inner is not None
    if inner.full_name == _STRUCT:
        return getattr(message, field.name).fields
    return getattr(message, field.name) if inner.GetOptions().map_entry else None


def _is_set(message: Message, field: FieldDescriptor) -> bool:
    if field.is_repeated:
        return bool(getattr(message, field.name))
    if field.has_presence:
        return message.HasField(field.name)
    return bool(getattr(message, field.name) != field.default_value)


def _value(message: Any, parts: list[str]) -> Any:
    for part in parts:
        message = getattr(message, part)
    return message


def _behaviors(field: FieldDescriptor) -> set[str]:
    extensions: Any = field.GetOptions().Extensions
    listed = extensions[field_behavior_pb2.field_behavior]
    return {field_behavior_pb2.FieldBehavior.Name(value) for value in listed}
