"""The host's cache of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fifo.model.errors import NotFound, Unsupported, WrongState

if TYPE_CHECKING:
    from tests.hypervisors.conformance.stage import Stage


def test_a_fetched_image_is_in_the_cache_with_its_sizes(stage: Stage) -> None:
    image = stage.fresh_image()
    told: list[tuple[int, int]] = []
    fetched = stage.run(stage.driver.fetch_image(image, lambda *step: told.append(step)))
    assert image.uid in stage.run(stage.driver.images())
    assert (fetched.uid, fetched.state) == (image.uid, "ready")
    assert fetched.size_bytes > 0
    assert fetched.sha256
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == fetched.size_bytes


def test_to_fetch_what_is_there_gives_the_same(stage: Stage) -> None:
    image = stage.fresh_image()
    first = stage.run(stage.driver.fetch_image(image, lambda *_: None))
    assert stage.run(stage.driver.fetch_image(image, lambda *_: None)) == first


def test_to_delete_what_is_gone_is_success(stage: Stage) -> None:
    image = stage.fresh_image()
    stage.run(stage.driver.fetch_image(image, lambda *_: None))
    stage.run(stage.driver.delete_image(image.uid))
    stage.run(stage.driver.delete_image(image.uid))
    assert image.uid not in stage.run(stage.driver.images())


def test_an_instance_is_not_made_of_an_image_that_is_not_there(stage: Stage) -> None:
    image = stage.fresh_image()
    wanted = stage.wanted()._replace(image=image)
    with pytest.raises(NotFound):
        stage.run(stage.driver.create(wanted))
    stage.run(stage.driver.delete(wanted.spec.uid))
    assert stage.run(stage.driver.inventory()) == ()


def test_an_image_is_made_of_a_stopped_instance(stage: Stage) -> None:
    wanted = stage.wanted()
    stage.run(stage.driver.create(wanted))
    image = stage.fresh_image()
    if "capture_image" in stage.cannot:
        with pytest.raises(Unsupported):
            stage.run(stage.driver.capture_image(wanted.spec.uid, image))
        return
    made = stage.run(stage.driver.capture_image(wanted.spec.uid, image))
    assert (made.uid, made.state) == (image.uid, "ready")
    assert image.uid in stage.run(stage.driver.images())
    stage.run(stage.driver.start(wanted, 1))
    with pytest.raises(WrongState, match="running"):
        stage.run(stage.driver.capture_image(wanted.spec.uid, stage.fresh_image()))
