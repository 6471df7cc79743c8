"""What is wrong with a request is listed at once, before anything looks at it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import ParseDict

from fifo.api.methods import METHODS
from fifo.api.validation import Validation
from fifo.model.errors import InvalidInput
from fifo.v1 import instance_service_pb2
from tests.api.calls import BY_NAME, request_class

if TYPE_CHECKING:
    from google.protobuf.message import Message

VALIDATION = Validation()


def check(request: Message) -> None:
    VALIDATION.checker(type(request))(request)


def violations(request: Message) -> list[str]:
    try:
        check(request)
    except InvalidInput as error:
        return [violation.field for violation in error.violations]
    return []


def made(path: str, fields: dict[str, Any]) -> Message:
    service, _, name = path.partition(".")
    return ParseDict(fields, request_class(BY_NAME[service, name])())


CREATE = "InstanceService.CreateInstance"
ORG = "orgs/default"
NESTED: dict[str, Any] = {"a": {"b": 1}}
ROWS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("InstanceService.GetInstance", {}, ["name"]),
    ("InstanceService.GetInstance", {"name": "x\ny"}, ["name"]),
    ("InstanceService.GetInstance", {"name": "x" * 5_000}, ["name"]),
    ("InstanceService.GetInstance", {"name": "orgs/default/instances/web"}, []),
    ("InstanceService.ListInstances", {"parent": "orgs/-", "pageSize": -1}, ["page_size"]),
    (CREATE, {"parent": ORG, "instanceId": "-web"}, ["instance_id"]),
    (CREATE, {"parent": ORG, "instanceId": "web; rm -rf /"}, ["instance_id"]),
    (CREATE, {"parent": ORG, "requestId": "not-a-uuid"}, ["request_id"]),
    (CREATE, {"parent": ORG, "requestId": "6e8bc430-9c3a-11d9-9669-0800200c9a66"}, ["request_id"]),
    (CREATE, {"parent": ORG, "instance": {"alias": "a\0b"}}, ["instance.alias"]),
    (CREATE, {"parent": ORG, "instance": {"alias": "a\u2028b"}}, ["instance.alias"]),
    (CREATE, {"parent": ORG, "instance": {"alias": "-x; $(y) é"}}, []),
    (CREATE, {"parent": ORG, "instance": {"ram": 0}}, ["instance.ram"]),
    (CREATE, {"parent": ORG, "instance": {"maxSwap": 255}}, ["instance.max_swap"]),
    (CREATE, {"parent": ORG, "instance": {"brand": 99}}, ["instance.brand"]),
    (CREATE, {"parent": ORG, "instance": {"hostname": "a b"}}, ["instance.hostname"]),
    (CREATE, {"parent": ORG, "instance": {"resolvers": ["::1", "x"]}}, ["instance.resolvers[1]"]),
    (CREATE, {"parent": ORG, "instance": {"nics": [{"mac": "zz"}]}}, ["instance.nics[0].mac"]),
    (CREATE, {"parent": ORG, "instance": {"nics": [{}] * 33}}, ["instance.nics"]),
    (CREATE, {"parent": ORG, "instance": {"tags": NESTED}}, ["instance.tags.a"]),
    (CREATE, {"parent": ORG, "instance": {"tags": {"a": None}}}, ["instance.tags.a"]),
    (CREATE, {"parent": ORG, "instance": {"tags": {"": 1}}}, ["instance.tags"]),
    (CREATE, {"parent": ORG, "instance": {"customerMetadata": {"s": "#!/bin/sh\nid\n"}}}, []),
    (CREATE, {"parent": ORG, "instance": {"customerMetadata": {"s": "\0"}}},
     ["instance.customer_metadata.s"]),
    (CREATE, {"parent": ORG, "instance": {"tags": {str(n): n for n in range(1_001)}}},
     ["instance.tags"]),
    (CREATE, {"parent": ORG, "instance": {"filesystems": [{"source": "/a"}]}},
     ["instance.filesystems[0].target"]),
    (CREATE, {"parent": ORG, "instance": {"restartPolicy": {"window": "0s", "factor": 0}}},
     ["instance.restart_policy.factor", "instance.restart_policy.window"]),
    (CREATE, {"parent": ORG, "instance": {"state": 99, "pid": -5}}, []),
    ("InstanceService.BatchCreateInstances", {"parent": ORG}, ["requests"]),
    ("InstanceService.BatchCreateInstances", {"parent": ORG, "requests": [{}]}, []),
    ("InstanceService.BatchDeleteInstances", {"parent": ORG, "names": ["x"] * 1_001}, ["names"]),
    (
        "SnapshotService.CreateSnapshot",
        {"parent": "orgs/default/instances/web", "snapshotId": "../x"},
        ["snapshot_id"],
    ),
    ("EventService.Watch", {"heartbeat": "1s", "maxDelay": "9s"}, ["max_delay", "heartbeat"]),
    ("EventService.Watch", {"filter": "x" * 3_000}, ["filter"]),
    ("NetworkService.CreateNetwork", {"networkId": "a", "network": {"pools": [{}], "mtu": 9}},
     ["network.mtu", "network.pools[0].subnet"]),
    ("ImageService.ImportImage", {"url": "x", "sha256": "AB"}, ["sha256", "format"]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "wanted"), ROWS)
def test_a_bad_field_is_named(path: str, fields: dict[str, Any], wanted: list[str]) -> None:
    assert violations(made(path, fields)) == wanted


def test_everything_wrong_is_listed_at_once() -> None:
    fields = {"parent": "\n", "instanceId": "A", "instance": {"alias": "\0", "ram": -1}}
    assert violations(made(CREATE, fields)) == [
        "parent", "instance_id", "instance.alias", "instance.ram",
    ]  # fmt: skip


def test_bounds_are_written_as_people_write_them() -> None:
    fields = {
        "parent": ORG,
        "instance": {"maxLwps": 0, "restartPolicy": {"factor": 0.5}},
    }
    with pytest.raises(InvalidInput) as told:
        check(made(CREATE, fields))
    wanted = [violation.wanted for violation in told.value.violations]
    assert sorted(wanted) == ["1 to 1,000,000", "1 to 100"]


def test_a_page_has_the_bounds_that_are_documented() -> None:
    with pytest.raises(InvalidInput) as told:
        check(made("EventService.ListEvents", {"pageSize": -1}))
    assert [own.wanted for own in told.value.violations] == ["1 to 1,000, or nothing"]


def test_every_method_can_be_checked_with_nothing_set() -> None:
    for method in METHODS:
        violations(request_class(method)())


def test_a_huge_request_is_refused_quickly_and_without_telling_all() -> None:
    request = instance_service_pb2.CreateInstanceRequest(parent="orgs/default")
    for number in range(1_000):
        request.instance.tags.fields[f"k{number}"].list_value.values.add()
    request.instance.nics.extend(
        [instance_service_pb2.CreateInstanceRequest().instance.nics.add()] * 32
    )
    for nic in request.instance.nics:
        nic.mac = "x"
        nic.ips.extend(["y" * 100] * 20)
    began = time.perf_counter()
    assert len(violations(request)) == 200
    assert time.perf_counter() - began < 0.2
