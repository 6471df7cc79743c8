"""Every field says what it is for, and every resource is named as the others are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

import pytest
from google.api import field_info_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from fifo.model import hypervisor, image, instance, names, operation, story
from fifo.v1.instance_pb2 import Instance
from protos.generate import PACKAGE, PROTOS
from tests.protos import api

if TYPE_CHECKING:
    from google.protobuf.descriptor import EnumDescriptor

FIELDS = [field for message in api.MESSAGES for field in message.fields]
# What a request does to a field (AIP-203); IMMUTABLE only says more about one of them.
BEHAVIORS = {"REQUIRED", "OPTIONAL", "INPUT_ONLY", "OUTPUT_ONLY", "IDENTIFIER"}


def formats(field: FieldDescriptor) -> str:
    info = api.option(field, field_info_pb2.field_info)
    name: str = field_info_pb2.FieldInfo.Format.Name(info.format)
    return name


def every(messages: tuple[Descriptor, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("message", messages, ids=lambda message: message.full_name)


def test_each_field_has_one_behavior() -> None:
    wrong = [field.full_name for field in FIELDS if len(api.behaviors(field) & BEHAVIORS) != 1]
    assert wrong == []


def test_each_answer_of_our_own_is_output_alone() -> None:
    answers = {m.output_type for m in api.METHODS if m.output_type.name.endswith("Response")}
    wrong = [
        field.full_name
        for message in answers
        for field in message.fields
        if api.behaviors(field) != {"OUTPUT_ONLY"}
    ]
    assert wrong == []


@every(api.RESOURCES)
def test_a_resource_begins_with_its_name(message: Descriptor) -> None:
    assert message.fields[0].name == "name"
    assert message.fields[0].number == 1
    assert api.behaviors(message.fields[0]) == {"IDENTIFIER"}
    assert all(field.name != "name" for field in message.fields[1:])


@every(api.RESOURCES)
def test_a_resource_type_is_the_message_and_its_pattern_is_made_of_ids(message: Descriptor) -> None:
    described = api.resource(message)
    assert described.type == f"fifo/{message.name}"
    [pattern] = described.pattern
    parts = pattern.split("/")
    if described.plural != "instanceStats":
        assert parts[-2:] == [described.plural, f"{{{described.singular}}}"]
    collections = [part for part in parts if not part.startswith("{")]
    assert [part for part in collections if not names.is_id(part)] == []
    assert [part for part in parts if not re.fullmatch(r"[a-z]+|\{[a-z]+\}", part)] == []


def test_each_resource_that_can_be_updated_has_an_etag_and_a_uid() -> None:
    for method in api.METHODS:
        verb, noun = api.standard(method)
        if verb == "Update":
            [message] = [message for message in api.RESOURCES if message.name == noun]
            assert {"etag", "uid", "create_time"} <= set(message.fields_by_name)


def test_each_reference_leads_to_a_resource() -> None:
    known = {api.resource(message).type for message in api.RESOURCES} | {"*", ""}
    for field in FIELDS:
        reference = api.reference(field)
        assert {reference.type, reference.child_type} <= known, field.full_name


def test_each_name_and_parent_of_a_request_says_of_which_type() -> None:
    requests = {m.input_type for m in api.METHODS if m.input_type.name.endswith("Request")}
    for message in requests:
        for field in message.fields:
            if field.name in {"name", "names", "parent"}:
                reference = api.reference(field)
                assert reference.type or reference.child_type, field.full_name


def test_each_id_that_a_caller_chooses_has_the_grammar_of_the_model() -> None:
    grammar = names.ID.pattern.replace("(?:", "(")
    texts = [path.read_text(encoding="utf-8") for path in (PROTOS / PACKAGE).glob("*.proto")]
    told = [found for text in texts for found in re.findall(r"`(\[a-z\][^`]*)`", text)]
    assert set(told) == {grammar}


@pytest.mark.parametrize(
    ("name", "format_"), [("request_id", "UUID4"), ("upload_id", "FORMAT_UNSPECIFIED")]
)
def test_a_request_id_is_a_uuid(name: str, format_: str) -> None:
    found = {
        formats(field)
        for field in FIELDS
        if field.name == name and field.full_name.endswith(f"Request.{name}")
    }
    assert found == {format_}


@pytest.mark.parametrize(
    ("suffix", "type_"),
    [
        ("_time", "google.protobuf.Timestamp"),
        ("_mask", "google.protobuf.FieldMask"),
    ],
)
def test_a_suffix_tells_the_type(suffix: str, type_: str) -> None:
    for field in FIELDS:
        if field.name.endswith(suffix):
            assert api.message_of(field).full_name == type_, field.full_name


@pytest.mark.parametrize("suffix", ["_bytes", "_count"])
def test_a_unit_at_the_end_of_a_name_is_of_a_number(suffix: str) -> None:
    for field in FIELDS:
        if field.name.endswith(suffix):
            assert field.cpp_type in {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}


def values(enum: EnumDescriptor) -> set[str]:
    return {value.name.lower() for value in enum.values if not value.name.endswith("_UNSPECIFIED")}


@pytest.mark.parametrize(
    ("enum", "words"),
    [
        ("Instance.Brand", get_args(instance.Brand)),
        # Limbo is what the API makes of a host that is not heard of; nobody stores it.
        ("Instance.State", (*get_args(instance.State), "limbo")),
        ("RestartPolicy.Mode", get_args(instance.Restart)),
        ("OperationMetadata.State", get_args(operation.OperationState)),
        ("Hypervisor.State", get_args(hypervisor.Condition)),
        ("Image.Format", get_args(image.ImageFormat)),
        # No image is kept of an import that failed: the value stands there for clients of before.
        ("Image.State", (*get_args(image.ImageState), "failed")),
        ("Event.Kind", get_args(story.EventKind)),
    ],
)
def test_the_words_of_the_api_are_those_of_the_model(enum: str, words: tuple[str, ...]) -> None:
    message, _, name = enum.rpartition(".")
    [owner] = [found for found in api.MESSAGES if found.full_name == f"fifo.v1.{message}"]
    assert values(owner.enum_types_by_name[name]) == {word.replace("-", "_") for word in words}


def test_each_field_of_the_models_instance_is_in_the_api_or_known_to_be_another_there() -> None:
    others = {
        "id",  # The last part of `name`,
        "org",  # and the first.
        "wanted",  # desired_state
        "wanted_host",  # hypervisor
        "restart",  # restart_policy
        "unhonoured",  # unhonoured_properties
        "boot_generation",  # Part of how a reboot is done,
        "patience",  # this of a stop,
        "deleting",  # and this of a delete.
        "unasked",  # Part of how a store is restored.
    }
    ours = set(Instance.DESCRIPTOR.fields_by_name)
    assert set(instance.InstanceSpec.__struct_fields__) - ours == others
