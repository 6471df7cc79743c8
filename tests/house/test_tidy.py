from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tests.house import banned, endings, shared_state, tidy
from tests.house.source import Rule, files

MODULE = "supervisors/shard.py"
TEST = "tests/test_shard.py"
RULES = (*tidy.RULES, *banned.RULES, *shared_state.RULES, *endings.RULES)


def lines_of(rule: Rule, path: str, text: str) -> list[int]:
    """Return the lines that the rule complains of, each once."""
    return sorted({violation.line for violation in rule(PurePosixPath(path), text)})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Rule) -> None:
    broken = [str(violation) for path, text in files() for violation in rule(path, text)]
    assert not broken, "\n".join(broken)


def test_every_kind_of_package_is_looked_at() -> None:
    looked_at = {path.parts[0] for path, _ in files()}
    assert {"supervisors", "tests"} <= looked_at


# --- size ----------------------------------------------------------------------------------------


def test_a_module_of_400_lines_passes_and_one_more_does_not() -> None:
    assert lines_of(tidy.module_size, MODULE, "x = 1\n" * 400) == []
    assert lines_of(tidy.module_size, MODULE, "x = 1\n" * 401) == [401]


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_function_of_50_lines_passes_and_one_more_does_not(keyword: str) -> None:
    head = f"{keyword} f():\n"
    assert lines_of(tidy.function_size, MODULE, head + "    x = 1\n" * 49) == []
    assert lines_of(tidy.function_size, MODULE, head + "    x = 1\n" * 50) == [1]


def test_the_docstring_is_not_counted_as_part_of_the_function() -> None:
    contract = '    """Do it.\n\n    Units: none.\n    """\n'
    assert lines_of(tidy.function_size, MODULE, f"def f():\n{contract}" + "    x = 1\n" * 49) == []


def test_a_line_of_100_columns_passes_and_one_more_does_not() -> None:
    assert lines_of(tidy.line_width, MODULE, f"#{'-' * 99}\n") == []
    assert lines_of(tidy.line_width, MODULE, f"x = 1\n#{'-' * 100}\n") == [2]


# --- names and leftovers -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("supervisors/supervisor.py", False),
        ("supervisors/mischief.py", False),
        ("supervisors/utils.py", True),
        ("supervisors/util/time.py", True),
        ("supervisors/misc.py", True),
        ("tests/shard_helpers.py", True),
        ("fifo/fleet/host_manager.py", True),
    ],
)
def test_a_file_is_named_after_its_concept(path: str, refused: bool) -> None:
    assert lines_of(tidy.file_name, path, "") == ([1] if refused else [])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# a plain comment\nx = 1\n", []),
        ("x = 'TODO inside a string'\n", []),
        ("todo_list = ()\n", []),
        ("x = 1  # TODO: the rest\n", [1]),
        ("x = 1\n# FIXME\n", [2]),
        ("x = 1\n# XXX why?\n", [2]),
        ('"""A module. TODO finish it."""\n', [1]),
        ('def f():\n    """Do it. FIXME"""\n', [1]),
    ],
)
def test_notes_of_unfinished_work_are_refused(text: str, lines: list[int]) -> None:
    assert lines_of(tidy.leftovers, MODULE, text) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("x = f()  # type: ignore[attr-defined]  # Pykka leaves it untyped\n", []),
        ("x = f()  # noqa: S311\n", []),
        ("x = '# type: ignore'\n", []),
        ("x = f()  # type: ignore\n", [1]),
        ("x = 1\ny = f()  # type:ignore # whatever\n", [2]),
        ("x = f()  # noqa\n", [1]),
    ],
)
def test_a_waiver_names_what_it_silences(text: str, lines: list[int]) -> None:
    assert lines_of(tidy.bare_waivers, MODULE, text) == lines


# --- banned calls --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("import json\njson.loads('{}')\n", []),
        ("import yaml\nyaml.safe_load('')\n", []),
        ("import time\ntime.monotonic()\n", []),
        ("runner.exec('ls')\n", []),
        ("def evaluate(): ...\nevaluate()\n", []),
        ("import pickle\n", [1]),
        ("from pickle import loads\n", [1]),
        ("import pickle as safe\nsafe.loads(b'')\n", [1, 2]),
        ("import marshal\n", [1]),
        ("import yaml\nyaml.load('')\n", [2]),
        ("import os\nos.system('ls')\n", [2]),
        ("from os import system as run\nrun('ls')\n", [1, 2]),
        ("import os.path\nos.system('ls')\n", [2]),
        ("def f():\n    eval('1')\n", [2]),
        ("exec('x = 1')\n", [1]),
        ("list(map(eval, ()))\n", [1]),
        ("import time\ntime.sleep(1)\n", [2]),
        ("import time as t\nnap = t.sleep\n", [2]),
        ("from time import sleep\n", [1]),
    ],
)
def test_banned_names_are_found_however_they_are_imported(text: str, lines: list[int]) -> None:
    assert lines_of(banned.banned_names, MODULE, text) == lines
    assert lines_of(banned.banned_names, TEST, text) == lines


def test_a_benchmark_may_sleep() -> None:
    text = "import time\ntime.sleep(1)\n"
    assert lines_of(banned.banned_names, "benchmarks/casts.py", text) == []


def test_a_banned_name_is_reported_with_its_reason_and_its_replacement() -> None:
    [violation] = banned.banned_names(PurePosixPath(MODULE), "import os\nos.system('ls')\n")
    assert str(violation) == (
        "supervisors/shard.py:2: os.system: a shell reads data as commands;"
        " use subprocess.run with an argument list"
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("run(['ls'])\n", []),
        ("run(['ls'], shell=False)\n", []),
        ("run('ls', shell=True)\n", [1]),
        ("run('ls', shell=maybe)\n", [1]),
    ],
)
def test_a_shell_is_refused(text: str, lines: list[int]) -> None:
    assert lines_of(banned.shell, MODULE, text) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("import asyncio\nasync def f():\n    await asyncio.sleep(0)\n", []),
        ("import asyncio\nasync def f():\n    await asyncio.sleep(0.1)\n", [3]),
        ("from asyncio import sleep\nasync def f():\n    await sleep(1)\n", [3]),
    ],
)
def test_a_test_does_not_sleep_on_the_loop_either(text: str, lines: list[int]) -> None:
    assert lines_of(banned.sleeping_tests, TEST, text) == lines
    assert lines_of(banned.sleeping_tests, MODULE, text) == []


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("supervisors/shard.py", [1]),
        ("supervisors/demo.py", []),
        ("supervisors/__main__.py", []),
        ("benchmarks/table.py", []),
        ("fifo/cli/list.py", []),
        ("fifo/fleet/placement.py", [1]),
        ("tests/test_shard.py", [1]),
    ],
)
def test_only_modules_whose_output_is_their_result_print(path: str, lines: list[int]) -> None:
    assert lines_of(banned.printing, path, "print('here')\n") == lines
    assert lines_of(banned.printing, path, "sink.print('here')\n") == []


def test_a_stream_that_is_passed_in_may_be_printed_to() -> None:
    passed_in = "def f(stream):\n    print('here', file=stream)\n"
    standard = "import sys\nprint('here', file=sys.stderr)\n"
    assert lines_of(banned.printing, MODULE, passed_in) == []
    assert lines_of(banned.printing, MODULE, standard) == [2]


# --- global mutable state ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("LIMITS = {'a': 1}\n", []),
        ("_TABLE: dict[str, int] = {'a': 1}\n", []),
        ("__all__ = ['a']\n__all__ += ['b']\n", []),
        ("names = ('a', 'b')\n", []),
        ("def f():\n    seen = []\n    seen.append(1)\n", []),
        ("class A:\n    slots = {}\n", []),
        ("cache = {}\n", [1]),
        ("seen: set[int] = set()\n", [1]),
        ("from collections import deque\nqueue = deque()\n", [2]),
        ("import itertools\nserials = itertools.count(1)\n", [2]),
        ("squares = [x * x for x in range(9)]\n", [1]),
        ("SEEN = set()\ndef f():\n    SEEN.add(1)\n", [3]),
        ("TABLE = {}\ndef f():\n    TABLE['a'] = 1\n", [3]),
        ("TABLE = {}\ndef f():\n    del TABLE['a']\n", [3]),
        ("STACK = []\nSTACK += [1]\n", [2]),
        ("def f():\n    global x\n    x = 1\n", [2]),
    ],
)
def test_module_level_containers_are_constants(text: str, lines: list[int]) -> None:
    assert lines_of(shared_state.mutable_globals, MODULE, text) == lines


# --- endings -------------------------------------------------------------------------------------

PROCESS = "fifo/fleet/session.py"
_TERMINATE = "    def terminate(self, reason):\n        self.close()\n"
_TRAPS = "    def init(self):\n        self.trap_exit = True\n"


@pytest.mark.parametrize("base", ["GenServer", "supervisors.GenServer", "StateMachine[int]"])
def test_a_process_that_cleans_up_has_to_trap_exits(base: str) -> None:
    text = f"class Session({base}):\n{_TERMINATE}"
    assert lines_of(endings.exits_are_trapped, PROCESS, text) == [1]
    assert lines_of(endings.exits_are_trapped, PROCESS, text + _TRAPS) == []
    assert lines_of(endings.exits_are_trapped, TEST, text) == []


def test_a_process_that_inherits_its_clean_up_has_to_trap_exits_too() -> None:
    text = "class StoreOwner(Owner):\n"
    assert lines_of(endings.exits_are_trapped, PROCESS, text + "    x = 1\n") == [1]
    assert lines_of(endings.exits_are_trapped, PROCESS, text + _TRAPS) == []


def test_what_is_no_process_or_leaves_nothing_traps_nothing() -> None:
    assert lines_of(endings.exits_are_trapped, PROCESS, f"class Channel:\n{_TERMINATE}") == []
    assert lines_of(endings.exits_are_trapped, PROCESS, "class A(GenServer):\n    x = 1\n") == []
