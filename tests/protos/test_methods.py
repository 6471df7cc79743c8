"""Every method has the shape that Google's API improvement proposals give it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.protos import api

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, MethodDescriptor

UNARY = [method for method in api.METHODS if not api.streams(method)]
MUTATIONS = [method for method in UNARY if not api.reads_only(method)]
OPERATIONS = [method for method in api.METHODS if method.output_type.full_name == api.OPERATION]


def of(verb: str) -> list[MethodDescriptor]:
    return [method for method in api.METHODS if api.standard(method)[0] == verb]


def every(methods: list[MethodDescriptor]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("method", methods, ids=lambda method: method.full_name)


def names(message: Descriptor) -> list[str]:
    return [field.name for field in message.fields]


def answer(method: MethodDescriptor) -> str:
    """Give the short name of what the caller has in the end."""
    info = api.operation_info(method)
    full = info.response_type or method.output_type.full_name
    return full.removeprefix("fifo.v1.")


def test_the_services_are_those_of_the_first_machine() -> None:
    services = {method.containing_service.name for method in api.METHODS}
    assert services == {
        "AdminService",
        "ConsoleService",
        "EventService",
        "HypervisorService",
        "ImageService",
        "InstanceService",
        "NetworkService",
        "PackageService",
        "SnapshotService",
        "SupervisionService",
    }


@every(of("Get"))
def test_get_takes_a_name_and_gives_the_resource(method: MethodDescriptor) -> None:
    if "name" in method.input_type.fields_by_name:
        assert names(method.input_type)[0] == "name"
    assert answer(method) == api.standard(method)[1]
    assert api.reads_only(method)
    assert api.verb_and_path(method)[0] == "get"


@every(of("List"))
def test_list_is_paged_and_filtered(method: MethodDescriptor) -> None:
    fields = method.input_type.fields_by_name
    assert {"page_size", "page_token", "filter", "order_by"} <= set(fields)
    assert not method.output_type.fields_by_name["next_page_token"].is_repeated
    assert method.output_type.fields[0].is_repeated
    assert api.message_of(method.output_type.fields[0]).name == api.standard(method)[1]
    assert api.reads_only(method)
    assert api.verb_and_path(method)[0] == "get"


def test_all_that_is_paged_is_a_standard_list() -> None:
    paged = {m.name for m in api.METHODS if "page_token" in m.input_type.fields_by_name}
    assert paged == {method.name for method in of("List")}


@every(of("Create"))
def test_create_lets_the_caller_choose_the_id(method: MethodDescriptor) -> None:
    noun = api.standard(method)[1]
    assert f"{noun.lower()}_id" in method.input_type.fields_by_name
    assert answer(method) == noun
    verb, path = api.verb_and_path(method)
    assert verb == "post"
    assert ":" not in path.partition("}")[2]


@every(of("Update"))
def test_update_takes_the_resource_and_a_mask(method: MethodDescriptor) -> None:
    noun = api.standard(method)[1]
    assert names(method.input_type)[:2] == [noun.lower(), "update_mask"]
    assert answer(method) == noun
    verb, path = api.verb_and_path(method)
    assert verb == "patch"
    assert path.startswith(f"/v1/{{{noun.lower()}.name=")
    assert api.http(method).body == noun.lower()
    assert "etag" in api.message_of(method.input_type.fields[0]).fields_by_name


@every(of("Delete"))
def test_delete_takes_a_name_and_gives_nothing(method: MethodDescriptor) -> None:
    assert names(method.input_type)[0] == "name"
    assert "allow_missing" in method.input_type.fields_by_name
    assert answer(method) == api.EMPTY
    assert api.verb_and_path(method)[0] == "delete"


@every([method for method in api.METHODS if method.name.startswith("Batch")])
def test_a_batch_names_its_parent_first(method: MethodDescriptor) -> None:
    first, second = method.input_type.fields[:2]
    assert first.name == "parent"
    assert second.name in {"names", "requests"}
    assert second.is_repeated


@every(MUTATIONS)
def test_a_mutation_can_be_repeated_and_rehearsed(method: MethodDescriptor) -> None:
    assert {"request_id", "validate_only"} <= set(method.input_type.fields_by_name)


@every(OPERATIONS)
def test_an_operation_says_what_it_ends_with(method: MethodDescriptor) -> None:
    info = api.operation_info(method)
    assert info.metadata_type == "OperationMetadata"
    known = {message.name for message in api.MESSAGES}
    assert info.response_type in known | {api.EMPTY}
    assert not api.streams(method)


@every([method for method in api.METHODS if not method.client_streaming])
def test_a_call_has_a_rule_for_http(method: MethodDescriptor) -> None:
    verb, path = api.verb_and_path(method)
    assert path.startswith("/v1/")
    assert (verb in {"get", "delete"}) == (api.http(method).body == "")
    if api.reads_only(method):
        assert verb == "get"
    for variable in re.findall(r"\{([a-z_.]+)=", path):
        *through, last = variable.split(".")
        message = method.input_type
        for part in through:
            message = api.message_of(message.fields_by_name[part])
        assert last in message.fields_by_name
    assert api.signatures(method), "clients need a short form"


@every([method for method in api.METHODS if method.client_streaming])
def test_a_stream_of_frames_has_no_rule_for_http_and_opens_first(method: MethodDescriptor) -> None:
    assert api.verb_and_path(method) == ("", "")
    frame = method.input_type.oneofs_by_name["frame"]
    assert frame.fields[0].name == "open"


def test_no_two_calls_share_a_rule_for_http() -> None:
    rules = [api.verb_and_path(method) for method in api.METHODS if not method.client_streaming]
    plain = [(verb, re.sub(r"\{[a-z_.]+=([^}]*)\}", r"\1", path)) for verb, path in rules]
    assert len(plain) == len(set(plain))


@every(list(api.METHODS))
def test_a_signature_names_fields_of_the_request(method: MethodDescriptor) -> None:
    for signature in api.signatures(method):
        for field in filter(None, signature.split(",")):
            assert field in method.input_type.fields_by_name
