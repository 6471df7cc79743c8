from __future__ import annotations

from pathlib import PurePosixPath

import pykka
import pytest

from tests.house import floors
from tests.house.source import Rule, files


def lines_of(rule: Rule, path: str, text: str) -> list[int]:
    """Return the lines that the rule complains of, each once."""
    return sorted({violation.line for violation in rule(PurePosixPath(path), text)})


@pytest.mark.parametrize("rule", floors.RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Rule) -> None:
    broken = [str(violation) for path, text in files() for violation in rule(path, text)]
    assert not broken, "\n".join(broken)


def test_the_table_of_floors_has_no_loop_and_no_unknown_package() -> None:
    for package in floors.STANDS_ON:
        assert package not in floors.below(package)


# --- an import may only point down ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "imported"),
    [
        ("supervisors/shard.py", "supervisors.process"),
        ("supervisors/shard.py", "pykka"),
        ("fifo/model/instance.py", "fifo.model.state"),
        ("fifo/store/memory.py", "fifo.model.instance"),
        ("fifo/store/memory.py", "supervisors"),
        ("fifo/workflows/create.py", "fifo.store"),
        ("fifo/workflows/create.py", "supervisors"),
        ("fifo/fleet/session.py", "fifo.model.instance"),
        ("fifo/agent/instance.py", "fifo.hypervisors"),
        ("fifo/node/link.py", "fifo.node.v1.link_pb2"),
        ("fifo/api/instances.py", "fifo.v1.instances_pb2"),
        ("fifo/api/instances.py", "fifo.fleet"),
        ("fifo/cli/list.py", "fifo.v1.instances_pb2"),
        ("fifo/__main__.py", "fifo.cli"),
        ("tests/fleet/test_session.py", "fifo.fleet"),
        ("benchmarks/casts.py", "supervisors"),
    ],
)
def test_an_import_that_points_down_is_allowed(path: str, imported: str) -> None:
    assert lines_of(floors.imports_point_down, path, f"import {imported}\n") == []


@pytest.mark.parametrize(
    ("path", "imported"),
    [
        ("supervisors/shard.py", "fifo"),
        ("supervisors/shard.py", "fifo.model"),
        ("supervisors/shard.py", "tests.house"),
        ("supervisors/shard.py", "benchmarks"),
        ("fifo/model/instance.py", "supervisors"),
        ("fifo/model/instance.py", "fifo.v1.instances_pb2"),
        ("fifo/model/instance.py", "fifo.store"),
        ("fifo/store/memory.py", "fifo.workflows"),
        ("fifo/hypervisors/linux/driver.py", "supervisors"),
        ("fifo/telemetry/registry.py", "fifo.store"),
        ("fifo/security/tokens.py", "fifo.store"),
        ("fifo/workflows/create.py", "fifo.fleet"),
        ("fifo/fleet/session.py", "fifo.agent"),
        ("fifo/fleet/session.py", "fifo.v1.instances_pb2"),
        ("fifo/agent/instance.py", "fifo.fleet"),
        ("fifo/api/instances.py", "fifo.web"),
        ("fifo/api/instances.py", "fifo.cli"),
        ("fifo/__init__.py", "fifo.model"),
    ],
)
def test_an_import_that_points_up_or_sideways_is_refused(path: str, imported: str) -> None:
    package, _, name = imported.rpartition(".")
    forms = [f"import {imported}\n", f"def f():\n    import {imported}\n"]
    if package:
        forms.append(f"from {package} import {name}\n")
    for text in forms:
        assert lines_of(floors.imports_point_down, path, text) == [text.count("\n")]


def test_a_relative_import_is_read_as_the_absolute_one() -> None:
    path = "fifo/store/engines/memory.py"
    assert lines_of(floors.imports_point_down, path, "from ..watch import Watch\n") == []
    assert lines_of(floors.imports_point_down, path, "from ... import model\n") == []
    assert lines_of(floors.imports_point_down, path, "from ...fleet import session\n") == [1]


def test_a_package_on_no_floor_is_refused() -> None:
    assert lines_of(floors.imports_point_down, "fifo/extras/thing.py", "") == [1]
    assert lines_of(floors.imports_point_down, "fifo/modelling/thing.py", "") == [1]


# --- rooms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["asyncio", "time", "random", "threading", "socket"])
@pytest.mark.parametrize("path", sorted(map(str, floors.SCHEDULER_CORE)))
def test_the_scheduler_core_imports_no_clock_thread_or_io(path: str, module: str) -> None:
    for text in (f"import {module}\n", f"from {module} import x\n", f"import {module} as x\n"):
        assert lines_of(floors.rooms_are_kept, path, text) == [1]


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [
        ("supervisors/shard.py", "from _thread import get_ident\n", []),
        ("supervisors/shard.py", "from _thread import allocate_lock\n", [1]),
        ("supervisors/shard.py", "import timeit_like\n", []),
        ("supervisors/shard.py", "if TYPE_CHECKING:\n    from random import Random\n", []),
        ("supervisors/asyncio_host.py", "import asyncio\n", []),
        ("fifo/fleet/session.py", "import uuid\n", [1]),
        ("fifo/agent/journal.py", "import time\n", [1]),
        ("fifo/agent/io/journal.py", "import time\n", []),
        ("fifo/hypervisors/simulated/host.py", "import random\n", [1]),
        ("fifo/hypervisors/linux/driver.py", "import asyncio\n", []),
        ("fifo/model/instance.py", "from google.protobuf import message\n", [1]),
        ("fifo/model/instance.py", "import numpy\n", []),
    ],
)
def test_a_room_is_kept_with_its_exceptions(path: str, text: str, lines: list[int]) -> None:
    assert lines_of(floors.rooms_are_kept, path, text) == lines


# --- Pykka's private names -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("import pykka\npykka.ActorRef\n", []),
        ("from pykka import ActorRef\n", []),
        ("import pykka\npykka.__version__\n", []),
        ("self._stop()\n", []),
        ("import pykka._envelope\n", [1]),
        ("from pykka._envelope import Envelope\n", [1]),
        ("from pykka import _ref\n", [1]),
        ("import pykka as p\np._ref.ActorRef\n", [2]),
        ("ref._actor_weakref()\n", [1]),
        ("class P:\n    def _handle_receive(self, message): ...\n", [2]),
    ],
)
def test_only_the_adapter_touches_what_pykka_keeps_private(text: str, lines: list[int]) -> None:
    rule = floors.pykka_stays_private
    assert lines_of(rule, "supervisors/process.py", text) == lines
    assert lines_of(rule, str(floors.PYKKA_ADAPTER), text) == []


def test_the_private_names_are_those_of_the_installed_pykka() -> None:
    class Idle(pykka.ThreadingActor):
        pass

    ref = Idle.start()
    try:
        owners = (pykka.Actor, pykka.ActorRegistry)
        instances: tuple[object, ...] = (ref, ref._actor_weakref(), pykka.ThreadingFuture())
        private = {name for owner in owners for name in dir(owner)}
        private.update(name for instance in instances for name in vars(instance))
    finally:
        ref.stop()
    assert private >= floors.PYKKA_PRIVATE
