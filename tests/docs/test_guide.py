"""Every example of the guide and of the README runs, and says what it does truly."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import supervisors
from supervisors import limits
from tests.docs.blocks import Block, blocks

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "supervisors.md"
DOCUMENTS = (GUIDE, ROOT / "README.md")

PATIENCE_S = 30.0
"""How long an example may take on a busy machine; none waits for anything but itself."""

ENDLESS = {
    "python -m supervisors.observe": "draws until somebody quits",
    "python -m supervisors.heart": "lives as long as the node it watches",
}
"""Commands that do not end by themselves: of these the test only asks for `--help`."""

PROSE = {"What it is and what it is not", "Performance", "Limits"}
"""Chapters of the guide that have nothing to run."""


class Example(NamedTuple):
    """One block of a document, and the one that follows it."""

    document: Path
    block: Block
    following: Block | None

    def __str__(self) -> str:
        return f"{self.document.name}: {self.block}"


def examples(language: str) -> list[Example]:
    """List the blocks of a language in all documents."""
    found: list[Example] = []
    for document in DOCUMENTS:
        listed = list(blocks(document.read_text(encoding="utf-8")))
        following = [*listed[1:], None]
        found.extend(
            Example(document, block, after)
            for block, after in zip(listed, following, strict=True)
            if block.language == language
        )
    return found


def in_time(function: Callable[[], None]) -> None:
    """Run a function on a thread of its own and raise what it raises, or that it hangs."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised again on the test's thread
            raised.append(error)

    thread = threading.Thread(target=run, name="example", daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive(), f"the example still runs after {PATIENCE_S} s"
    if raised:
        raise raised[0]


@pytest.mark.parametrize("example", examples("python"), ids=str)
def test_an_example_runs_on_its_own(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a module of its own in a file whose lines are numbered as in the document.
    file = tmp_path / "guide_example.py"
    block = example.block
    file.write_text("\n" * (block.line - 1) + block.text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, module)
    monkeypatch.chdir(ROOT)
    loader = spec.loader
    threads = set(threading.enumerate())
    in_time(lambda: loader.exec_module(module))
    left = [one for one in threading.enumerate() if one not in threads and not one.daemon]
    assert not left, f"the example leaves threads behind: {left}"


@pytest.mark.parametrize("example", examples("python"), ids=str)
def test_an_example_claims_something_and_waits_for_nothing(example: Example) -> None:
    text = example.block.text
    assert re.search(r"^\s*assert ", text, re.MULTILINE), "an example asserts what it shows"
    assert "time.sleep" not in text
    assert "asyncio.sleep" not in text
    assert all(len(line) <= 100 for line in text.splitlines())


def commands() -> list[tuple[Example, str]]:
    """List the command lines of the documents that start one of the package's programs."""
    return [
        (example, line)
        for example in examples("sh")
        for line in example.block.text.splitlines()
        if line.startswith("python -m supervisors.")
    ]


@pytest.mark.parametrize(("example", "line"), commands(), ids=str)
def test_a_command_of_the_guide_prints_what_it_shows(example: Example, line: str) -> None:
    program = " ".join(line.split()[:3])
    arguments = shlex.split(line, comments=True)
    if program in ENDLESS:
        arguments = [*arguments[:3], "--help"]
    done = subprocess.run(
        [sys.executable, *arguments[1:]], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    after = example.following
    if program not in ENDLESS and after is not None and after.language == "text":
        assert done.stdout == after.text


def test_every_chapter_shows_what_it_says() -> None:
    shown = 0
    for chapter in GUIDE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title = chapter.splitlines()[0]
        found = any(block.language in ("python", "sh") for block in blocks(chapter))
        assert found != (title in PROSE), title
        shown += found
    assert shown


def test_every_public_name_is_in_the_guide() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    missing = [name for name in supervisors.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing


def test_every_limit_that_the_guide_names_exists() -> None:
    named = re.findall(r"`limits\.([A-Z_]+)`", GUIDE.read_text(encoding="utf-8"))
    assert named
    assert not [name for name in named if not hasattr(limits, name)]


def test_every_heading_is_in_the_table_of_contents() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^## (.+)$", outside, re.MULTILINE)
    linked = re.findall(r"^\d+\. \[(.+)\]\(#(.+)\)$", outside, re.MULTILINE)
    assert [title for title, _ in linked] == headings
    assert [anchor for _, anchor in linked] == [slug(title) for title in headings]


def slug(heading: str) -> str:
    """Give the anchor that a heading gets in rendered Markdown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
