"""The committed Python is what the protos make, and the protos keep the promises made so far."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import google.api
import google.rpc
import pytest
from google import longrunning

from protos.generate import PACKAGE, PROTOS, THIRD_PARTY, GenerationError, generate

ROOT = PROTOS.parent
BUF = Path(sys.executable).parent / "buf"
BASELINE = PROTOS / "baseline.binpb.gz"


def buf(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *words], capture_output=True, text=True, check=False, cwd=ROOT)


def texts(package: Path) -> dict[str, str]:
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in package.iterdir()
        if path.suffix in {".py", ".pyi"}
    }


def test_the_committed_python_is_what_the_protos_make(tmp_path: Path) -> None:
    generate(tmp_path)
    made, committed = texts(tmp_path / PACKAGE), texts(ROOT / PACKAGE)
    assert sorted(made) == sorted(committed)
    stale = [name for name in made if made[name] != committed[name]]
    assert stale == [], "run `make protos`"


def test_what_no_proto_makes_any_more_is_deleted(tmp_path: Path) -> None:
    package = tmp_path / PACKAGE
    package.mkdir(parents=True)
    (package / "rollout_pb2.py").touch()
    generate(tmp_path)
    assert "rollout_pb2.py" not in texts(package)


def test_the_protos_keep_bufs_rules() -> None:
    linted = buf("lint", "protos")
    assert linted.stdout == ""
    assert linted.returncode == 0, linted.stderr


def test_the_protos_are_formatted() -> None:
    assert buf("format", "--exit-code", "protos", "--path", "protos/fifo").returncode == 0


def breaking(protos: Path, image: Path) -> subprocess.CompletedProcess[str]:
    assert buf("build", protos, "-o", image).returncode == 0
    return buf("breaking", image, "--against", BASELINE, "--config", PROTOS / "buf.yaml")


def test_nothing_breaks_who_was_built_against_the_baseline(tmp_path: Path) -> None:
    guarded = breaking(PROTOS, tmp_path / "now.binpb")
    assert guarded.stdout == ""
    assert guarded.returncode == 0, guarded.stderr


def test_a_renamed_field_is_caught(tmp_path: Path) -> None:
    changed = tmp_path / "protos"
    shutil.copytree(PROTOS, changed)
    file = changed / PACKAGE / "instance.proto"
    text = file.read_text(encoding="utf-8")
    assert " alias = 4 " in text
    file.write_text(text.replace(" alias = 4 ", " nick = 4 "), encoding="utf-8")
    guarded = breaking(changed, tmp_path / "changed.binpb")
    assert guarded.returncode != 0
    assert 'changed name from "alias" to "nick"' in guarded.stdout


@pytest.mark.parametrize(
    "vendored", sorted(THIRD_PARTY.rglob("*.proto")), ids=lambda path: path.stem
)
def test_the_vendored_protos_are_those_of_the_installed_package(vendored: Path) -> None:
    packages = {"api": google.api, "rpc": google.rpc, "longrunning": longrunning}
    [directory] = packages[vendored.parent.name].__path__
    # The package has it under another name than its own messages are registered by.
    names = {"operations.proto": "operations_proto.proto"}
    installed = Path(directory) / names.get(vendored.name, vendored.name)
    assert vendored.read_bytes() == installed.read_bytes()


def test_a_proto_that_does_not_compile_is_refused_in_the_compilers_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "protos"
    (broken / PACKAGE).mkdir(parents=True)
    (broken / PACKAGE / "broken.proto").write_text("message {", encoding="utf-8")
    monkeypatch.setattr("protos.generate.PROTOS", broken)
    with pytest.raises(GenerationError, match=r"broken\.proto:1:9"):
        generate(tmp_path / "out")
