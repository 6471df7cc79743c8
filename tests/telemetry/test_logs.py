"""The log of a full disk: told once, counted, and gone on with when there is room."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

import pytest

from fifo.telemetry.logs import log_to
from tests.hypervisors.linux.full_disk import mounted

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("fifo.test_logs")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_what_finds_no_room_is_told_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with mounted(1024**2) as disk:
        path = disk.place / "fifo.log"
        handler = log_to(disk.place, "info", 1024**2)
        try:
            logger.info("before")
            disk.leave(0)
            for number in range(200):
                logger.info("%d: %s", number, "x" * 500)
            told = capsys.readouterr().err
            assert told == f"fifo: {path}: the log cannot be written: No space left on device\n"
            disk.clear()
            logger.info("after")
            disk.leave(0)
            logger.info("y" * 10_000)
            assert capsys.readouterr().err.count("\n") == 1
        finally:
            logging.getLogger().removeHandler(handler)
            handler.close()
        whole = path.read_text().splitlines()
        texts = [json.loads(line)["text"] for line in whole if line.endswith("}")]
        fitted = sum(text.endswith("xxx") for text in texts)
        assert texts[0] == "before"
        assert f"{200 - fitted} log records before this could not be written" in texts
        assert texts[-1] == "after"


def test_a_line_that_was_cut_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "fifo.log").write_text('{"text": "cu')
    handler = log_to(tmp_path, "info", 10_000)
    logger.info("next")
    logging.getLogger().removeHandler(handler)
    handler.close()
    cut, line = (tmp_path / "fifo.log").read_text().splitlines()
    assert cut == '{"text": "cu'
    assert json.loads(line)["text"] == "next"
