"""What a stranger meets first keeps its word: the README's commands, make's help, the pins."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.house.source import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGETS = frozenset(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
DESCRIBED = frozenset(re.findall(r"^([a-z]+):.* ## \S", MAKEFILE, re.MULTILINE))


def test_each_make_command_of_the_readme_is_a_target() -> None:
    commands = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"demo", "test"} <= commands <= TARGETS


def test_make_alone_prints_every_target() -> None:
    assert TARGETS == DESCRIBED
    assert ".DEFAULT_GOAL := help" in MAKEFILE


def test_no_target_is_taken_for_a_file() -> None:
    phony = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split())
    assert phony == TARGETS


def test_each_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_with_hashes_and_name_no_registry(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==[0-9.]+ ", block), block
        assert "--hash=sha256:" in block
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_each_runtime_dependency_is_pinned_in_both_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=~! ]", wanted)[0] for wanted in project["dependencies"]]
    for name in ("requirements.txt", "requirements-dev.txt"):
        pinned = re.findall(
            r"^([a-z0-9-]+)==", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE
        )
        assert set(names) <= set(pinned)
