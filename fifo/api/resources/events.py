"""Events: the story of an instance as callers see it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from fifo.api.resources.values import set_time
from fifo.api.resources.view import hypervisor_name, instance_name
from fifo.model import keys, names, records
from fifo.model.story import StoryEvent
from fifo.v1 import event_pb2

if TYPE_CHECKING:
    from fifo.store.catalog import View
    from fifo.store.contract import KeyValue

Message = event_pb2.Event
TYPE: Final = "fifo/Event"
KINDS: Final = MappingProxyType(
    {
        name.lower(): value.number
        for name, value in Message.Kind.DESCRIPTOR.values_by_name.items()
        if value.number
    }
)


def uid_and_number(key: bytes) -> tuple[str, str]:
    """Take the key of an event apart: the instance's uid, and its number as in the key."""
    uid, _, number = key[len(keys.STORY) :].decode().partition("/")
    return uid, number


def name_of(key: bytes) -> str:
    """Name an event; names of one instance stand in the order of what happened."""
    uid, number = uid_and_number(key)
    return f"events/{uid}-{number}"


def message(view: View, stored: KeyValue) -> Message:
    """Make what callers see."""
    story = records.decode(StoryEvent, stored.value, stored.key.decode())
    made = Message(
        name=name_of(stored.key),
        kind=KINDS[story.kind],  # type: ignore[arg-type]
        message=story.text,
        subject=instance_name(view, story.uid),
        subject_uid=story.uid,
        hypervisor=hypervisor_name(view, story.host),
        operation=f"{names.OPERATIONS}/{story.operation}" if story.operation else "",
        figures=story.figures,
    )
    set_time(made.time, story.at)
    return made
