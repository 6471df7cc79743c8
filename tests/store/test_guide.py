"""The example of docs/store.md runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tests.docs.blocks import blocks

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "store.md"


def test_the_example_of_the_guide_runs(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    (example,) = [block for block in blocks(text) if block.language == "python"]
    file = tmp_path / "example.py"
    file.write_text(example.text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("example", file)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
