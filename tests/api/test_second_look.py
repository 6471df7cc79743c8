"""A request that is refused is looked at again, and nothing in that makes it worse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import grpc.aio
import pytest

from fifo.api import second_look
from fifo.api.calls import Call
from fifo.api.methods import METHODS
from fifo.model.errors import InvalidInput, Violation
from fifo.v1 import instance_service_pb2
from tests.api.calls import BY_NAME, call, described, refusal_of, refused, request_class
from tests.api.test_instances import ZONE, create

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from fifo.api.methods import Method
    from tests.api.stage import Stage

    Play = Callable[..., None]

PARENT = "orgs/default"
WEB = "orgs/default/instances/web"
MANY = 1_001


@pytest.mark.parametrize("count", [0, MANY])
@pytest.mark.parametrize(
    ("path", "field", "one"),
    [
        ("InstanceService.BatchCreateInstances", "requests", {"instance": ZONE}),
        ("InstanceService.BatchDeleteInstances", "names", WEB),
        ("InstanceService.BatchGetInstances", "names", WEB),
    ],
)
def test_a_batch_of_nothing_and_one_of_too_many_are_refused_with_all_that_is_wrong(
    play: Play, path: str, field: str, one: Any, count: int
) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            for parent, wanted in ((PARENT, {field}), ("x", {field, "parent"})):
                told = await refused(
                    call(channel, path, **{"parent": parent, field: [one] * count})
                )
                assert (told.code, set(told.fields)) == ("INVALID_ARGUMENT", wanted)

    play(scene)


def wrong_requests(method: Method) -> Iterator[dict[str, Any]]:
    """Give requests of a method that are wrong in one field each, and one that is nearly empty."""
    fields = described(method).input_type.fields
    usual = {"parent": PARENT, "name": WEB}
    right = {field.name: usual[field.name] for field in fields if field.name in usual}
    yield right
    for field in fields:
        if field.message_type is not None:
            yield {**right, field.name: [{}] * MANY if field.is_repeated else {}}
        elif field.type == field.TYPE_STRING:
            yield {**right, field.name: ["\n"] * MANY if field.is_repeated else "\n"}
        elif field.type in {field.TYPE_INT32, field.TYPE_INT64}:
            yield {**right, field.name: -1}


def test_whatever_is_wrong_with_a_request_is_no_bug_of_the_node(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            await create(channel)
            for method in METHODS:
                if not second_look.looks(method, request_class(method)):
                    continue
                for fields in wrong_requests(method):
                    path = f"{method.service.rpartition('.')[2]}.{method.name}"
                    try:
                        await call(channel, path, **fields)
                    except grpc.aio.AioRpcError as error:
                        told = refusal_of(error)
                        assert told.code != "INTERNAL", (path, fields)

    play(scene)


def test_a_bug_in_a_second_look_leaves_the_first_refusal_and_is_logged(
    run: Callable[[Coroutine[Any, Any, Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    first = InvalidInput("x", (Violation("name", "a name"),))

    async def broken(request: Any, asked: Any) -> None:
        del request, asked
        raise ZeroDivisionError

    message = instance_service_pb2.GetInstanceRequest(name="x")
    asked = Call(BY_NAME["InstanceService", "GetInstance"], *cast("Any", (None, None)))
    told = run(second_look.look_on(first, message, asked, broken))
    assert told is first
    (logged,) = caplog.records
    assert logged.exc_info is not None
    assert logged.exc_info[0] is ZeroDivisionError
