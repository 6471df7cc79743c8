"""What else is wrong with a request whose fields are wrong, so that all is told at once.

Such a request never comes to its service, which knows more of it: what its names refer to, and what
several fields have to be together. So the service is asked about a copy without the wrong fields,
as one that is only to be tried out. A request in order costs nothing of this.
"""

from __future__ import annotations

import copy
import inspect
import logging
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from fifo.model.errors import FifoError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from fifo.api.calls import Call
    from fifo.api.methods import Method
    from fifo.model.errors import Violation

logger = logging.getLogger("fifo.api")

_VIOLATIONS: Final = 200
"""Violations after which nobody looks on: more than are told."""
_LOOKS: Final = ("Get", "List", "BatchGet")
"""How methods begin that only read what the node has itself."""
_PLACE: Final = re.compile(r"\[\d+\]")
_STEP: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[(\d+)\])?(?:\.|$)")
FOLLOWS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "brand": frozenset({"image", "disks", "disks[].model"}),
        "image": frozenset({"disks"}),
        "nics": frozenset({"routes.*"}),
        **dict.fromkeys(("network", "nic_tag", "vlan_id"), frozenset({"ips[]"})),
        "package": frozenset({"ram"}),
        "longest_wait": frozenset({"first_wait"}),
        "ram": frozenset({"max_physical_memory", "max_locked_memory", "max_swap"}),
        "max_physical_memory": frozenset({"ram"}),
        "format": frozenset({"image.brands", "image.boot"}),
        **dict.fromkeys(("filter", "order_by"), frozenset({"page_token"})),
    }
)
"""A wrong field -> what may seem wrong beside it only because it is left out.

Paths from the message that both are in: `[]` stands for any place in a list, `.*` for any key of a
map, and nothing else of a field is meant than what the path leads to. A test has a request for
each of them in which it seems wrong so, and nothing stands here without one.
"""
_LEFT: Final = frozenset({"parent", "update_mask"})
"""What is left as it is, since services look on beside it: a wrong parent holds nothing, of a mask
what leads nowhere is passed over. None at all would be another question."""
_OF_WHOLE: Final = frozenset({"network", "nic_tag", "subnet", "paths"})
"""Fields without which the whole that they are part of seems wrong."""


def looks(method: Method, request: type[Message]) -> bool:
    """Tell whether a method can be asked what it would say, and does nothing by that."""
    if "validate_only" in request.DESCRIPTOR.fields_by_name:
        return True
    return method.admission == "reads" and method.name.startswith(_LOOKS)


async def look_on(
    error: InvalidInput, message: Message, call: Call, function: Callable[..., Any]
) -> InvalidInput:
    """Give the refusal of a request with what its service finds wrong besides.

    Called by the door, for whom may call the method; `function` serves it, or a part of it that
    only looks. What the service says of anything but the request's fields is told when these are
    put right. A bug that such a copy meets is logged: the caller's own request has met none.
    """
    told = error.violations
    if len(told) >= _VIOLATIONS:
        return error
    asked = copy.copy(call)
    asked.request = tried = put_right(message, [own.field for own in told])
    try:
        answer = function(tried, asked)
        if inspect.isawaitable(answer):
            await answer
    except InvalidInput as found:
        more = tuple(unheard(found.violations, [own.field for own in told]))
        return InvalidInput(error.subject, told + more)
    except FifoError:
        pass
    except Exception:
        logger.exception("%s failed when it was asked for more", call.method.path)
    return error


def put_right(message: Message, wrong: Iterable[str]) -> Message:
    """Give a copy of a request to be tried out, without the fields at the paths `wrong`.

    Nor has it an etag: who knows an older state is told all the same what else is wrong.
    """
    made = type(message)()
    made.CopyFrom(message)
    for path in wrong:
        if path not in _LEFT:
            _leave_out(made, path)
    for part in (made, *(value for field, value in made.ListFields() if _is_whole(field))):
        if "etag" in part.DESCRIPTOR.fields_by_name:
            part.ClearField("etag")
    if "validate_only" in made.DESCRIPTOR.fields_by_name:
        made.validate_only = True  # type: ignore[attr-defined]
    return made


def _leave_out(message: Any, path: str) -> None:
    """Leave out the field that a path leads to; of a map the whole, of texts in a list none.

    A text in a list is what the service looks at word by word, and its place is part of a path.
    """
    while step := _STEP.match(path):
        field = message.DESCRIPTOR.fields_by_name.get(step[1])
        if field is None:
            return
        path = path[step.end() :]
        inner = field.message_type
        whole = inner is None or inner.GetOptions().map_entry or inner.file.package != "fifo.v1"
        if inner is not None and inner.full_name == "google.protobuf.FieldMask":
            whole = False
        if step[2] is not None and inner is None and field.cpp_type == field.CPPTYPE_STRING:
            return
        if whole or not path:
            _clear(message, field)
            return
        message = getattr(message, field.name)
        if step[2] is not None:
            message = message[int(step[2])]


def _is_whole(field: FieldDescriptor) -> bool:
    """Tell whether a field holds one message of ours, such as a resource."""
    inner = field.message_type
    return inner is not None and not field.is_repeated and inner.file.package == "fifo.v1"


def _clear(message: Any, field: FieldDescriptor) -> None:
    """Clear a field; one of several that exclude each other stays the one that was chosen."""
    choice = field.containing_oneof
    message.ClearField(field.name)
    if choice is None or choice.name.startswith("_"):
        return
    if field.message_type is not None:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, field.default_value)


def unheard(found: Iterable[Violation], told: list[str]) -> Iterator[Violation]:
    """Give what is not told already, and does not follow from what was left out.

    Called for violations that were found without the fields at the paths `told`.
    """
    for violation in found:
        if not any(_covers(path, violation.field) for path in told):
            yield violation


def _covers(told: str, found: str) -> bool:
    if found == told or found.startswith((f"{told}.", f"{told}[")):
        return True
    head, _, name = told.rpartition(".")
    prefix = f"{head}." if head else ""
    name = name.partition("[")[0]
    if name in _OF_WHOLE and found == head:
        return True
    if not found.startswith(prefix):
        return False
    path = _PLACE.sub("[]", found.removeprefix(prefix))
    field, dot, _ = path.partition(".")
    return not FOLLOWS.get(name, frozenset()).isdisjoint({path, f"{field}{dot}*"})
