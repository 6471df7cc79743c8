"""Child specifications and supervisor flags, checked as OTP checks them (OTP: supervisor)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from supervisors import limits
from supervisors.backoff import Backoff
from supervisors.errors import SpecError, StartError
from supervisors.process import Process
from supervisors.reasons import Crash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PERMANENT: Final = "permanent"
"""Always restarted."""
TRANSIENT: Final = "transient"
"""Restarted unless it ended in order."""
TEMPORARY: Final = "temporary"
"""Never restarted, and forgotten when it ends."""

WORKER: Final = "worker"
SUPERVISOR: Final = "supervisor"

BRUTAL_KILL: Final = "brutal_kill"
INFINITY: Final = "infinity"

ONE_FOR_ONE: Final = "one_for_one"
ONE_FOR_ALL: Final = "one_for_all"
REST_FOR_ONE: Final = "rest_for_one"
SIMPLE_ONE_FOR_ONE: Final = "simple_one_for_one"

NEVER: Final = "never"
ANY_SIGNIFICANT: Final = "any_significant"
ALL_SIGNIFICANT: Final = "all_significant"

RESTARTS: Final = (PERMANENT, TRANSIENT, TEMPORARY)
STRATEGIES: Final = (ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE, SIMPLE_ONE_FOR_ONE)
AUTO_SHUTDOWNS: Final = (NEVER, ANY_SIGNIFICANT, ALL_SIGNIFICANT)


ProcessClass: TypeAlias = type[Process]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start, restart and stop one child.

    `start` is a process class or a function, its arguments, and if wanted its keywords. A class is
    started linked to the supervisor; a function is called with the supervisor in front of the
    arguments, may be async, and returns a ref, a (ref, info) pair or IGNORE. `shutdown` is
    BRUTAL_KILL, INFINITY or milliseconds, by default 5000 for workers and INFINITY for supervisors.
    `name` registers the child; under a dynamic supervisor
    it may be a function of the start arguments. `backoff` is ours, the rest is OTP's.
    """

    id: Any
    start: tuple[Any, ...]
    restart: str = PERMANENT
    significant: bool = False
    shutdown: int | str | None = None
    type: str = WORKER
    modules: Any = None
    name: Any = None
    backoff: Backoff | None = None
    process_class: ProcessClass | None = field(init=False, repr=False, compare=False)
    start_kwargs: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take `start` apart once, since that costs more than a start itself."""
        given: Any = self.start
        start = given if isinstance(given, tuple) else (given,)
        target = start[0] if start else None
        is_class = isinstance(target, type) and issubclass(target, Process)
        object.__setattr__(self, "process_class", target if is_class else None)
        kwargs = start[2] if len(start) > 2 else None  # noqa: PLR2004 - target, args, kwargs
        object.__setattr__(self, "start_kwargs", dict(kwargs) if isinstance(kwargs, dict) else {})

    @property
    def patience_s(self) -> float | None:
        """How long the child may take to shut down, None for as long as it likes."""
        return self.shutdown / 1000 if isinstance(self.shutdown, int) else None

    @property
    def target(self) -> Any:
        """The class or function that starts the child."""
        return self.start[0]

    @property
    def args(self) -> tuple[Any, ...]:
        """Its arguments."""
        return tuple(self.start[1]) if len(self.start) > 1 else ()


@dataclass(frozen=True, slots=True)
class Flags:
    """How a supervisor treats its children as a group; periods are whole seconds."""

    strategy: str = ONE_FOR_ONE
    intensity: int = 1
    period: int = 5
    auto_shutdown: str = NEVER


def check_flags(flags: Flags | Mapping[str, Any] | tuple[str, int, int]) -> Flags:
    """Check supervisor flags, filling in OTP's defaults; unknown keys are ignored.

    Takes Flags, a mapping with the same keys, or OTP's old triple of strategy, intensity, period.
    Raises SpecError with `("invalid_strategy", X)` and its like.
    """
    if isinstance(flags, tuple) and len(flags) == 3:  # noqa: PLR2004 - OTP's old triple
        flags = Flags(*flags)
    if isinstance(flags, Mapping):
        known = ("strategy", "intensity", "period", "auto_shutdown")
        flags = Flags(**{key: flags[key] for key in known if key in flags})
    if not isinstance(flags, Flags):
        raise SpecError(("invalid_type", flags))
    if flags.strategy not in STRATEGIES:
        raise SpecError(("invalid_strategy", flags.strategy))
    if not _is_count(flags.intensity):
        raise SpecError(("invalid_intensity", flags.intensity))
    if not _is_count(flags.period) or flags.period == 0:
        raise SpecError(("invalid_period", flags.period))
    if flags.auto_shutdown not in AUTO_SHUTDOWNS:
        raise SpecError(("invalid_auto_shutdown", flags.auto_shutdown))
    return flags


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_TUPLE_KEYS: Final = ("id", "start", "restart", "shutdown", "type", "modules")
_SPEC_KEYS: Final = (*_TUPLE_KEYS, "significant", "name", "backoff")


def check_child(spec: Any, auto_shutdown: str | None = None) -> ChildSpec:
    """Check one child spec, filling in the defaults; unknown keys are ignored.

    Takes a ChildSpec, a mapping with the same keys, or OTP's old six-tuple. `auto_shutdown` None
    leaves out the check of `significant` against it. Raises SpecError with "missing_id",
    "missing_start", `("invalid_restart_type", X)` and so on, in the order OTP checks.
    """
    values = _as_mapping(spec)
    if "id" not in values:
        raise SpecError("missing_id")
    _check_hashable("invalid_id", values["id"])
    if "start" not in values:
        raise SpecError("missing_start")
    start = _check_start(values["start"])
    restart = values.get("restart", PERMANENT)
    if restart not in RESTARTS:
        raise SpecError(("invalid_restart_type", restart))
    significant = values.get("significant", False)
    _check_significant(significant, restart, auto_shutdown)
    child_type = values.get("type", WORKER)
    if child_type not in (WORKER, SUPERVISOR):
        raise SpecError(("invalid_child_type", child_type))
    patience = limits.SHUTDOWN_WORKER_MS if child_type == WORKER else INFINITY
    shutdown = values.get("shutdown", patience)
    if shutdown not in (BRUTAL_KILL, INFINITY) and not _is_count(shutdown):
        raise SpecError(("invalid_shutdown", shutdown))
    module = getattr(start[0], "__module__", None) or type(start[0]).__module__
    modules = _check_modules(values.get("modules", [module]))
    _check_hashable("invalid_name", values.get("name"))
    backoff = values.get("backoff")
    if backoff is not None and not isinstance(backoff, Backoff):
        raise SpecError(("invalid_backoff", backoff))
    return ChildSpec(
        values["id"], start, restart, significant, shutdown, child_type, modules,
        values.get("name"), backoff,
    )  # fmt: skip


def _as_mapping(spec: Any) -> Mapping[str, Any]:
    if isinstance(spec, ChildSpec):
        values = {key: getattr(spec, key) for key in _SPEC_KEYS}
        return {key: value for key, value in values.items() if value is not None or key == "id"}
    if isinstance(spec, Mapping):
        return spec
    if isinstance(spec, tuple) and len(spec) == len(_TUPLE_KEYS):
        return dict(zip(_TUPLE_KEYS, spec, strict=True))
    raise SpecError(("invalid_child_spec", spec))


def _check_start(start: Any) -> tuple[Any, ...]:
    if isinstance(start, type) or (callable(start) and not isinstance(start, tuple)):
        start = (start,)
    well_formed = (
        isinstance(start, tuple)
        and 1 <= len(start) <= 3  # noqa: PLR2004 - target, args, kwargs
        and callable(start[0])
        and (len(start) < 2 or isinstance(start[1], (tuple, list)))  # noqa: PLR2004
        and (len(start) < 3 or isinstance(start[2], dict))  # noqa: PLR2004
    )
    if not well_formed:
        raise SpecError(("invalid_mfa", start))
    return start  # type: ignore[no-any-return]


def _check_hashable(complaint: str, value: Any) -> None:
    """Refuse what no table can be keyed by; Erlang's terms all can, Python's values cannot."""
    try:
        hash(value)
    except TypeError:
        raise SpecError((complaint, value)) from None


def _check_significant(significant: Any, restart: str, auto_shutdown: str | None) -> None:
    if not isinstance(significant, bool):
        raise SpecError(("invalid_significant", significant))
    if significant and auto_shutdown == NEVER:
        pairs = [("auto_shutdown", NEVER), ("significant", True)]
        raise SpecError(("bad_combination", pairs))
    if significant and restart == PERMANENT:
        pairs = [("restart", PERMANENT), ("significant", True)]
        raise SpecError(("bad_combination", pairs))


def _check_modules(modules: Any) -> Any:
    if modules == "dynamic":
        return modules
    if not isinstance(modules, (list, tuple)):
        raise SpecError(("invalid_modules", modules))
    for module in modules:
        if not isinstance(module, str):
            raise SpecError(("invalid_module", module))
    return tuple(modules)


def check_children(specs: Any, auto_shutdown: str | None = None) -> dict[Any, ChildSpec]:
    """Check a list of child specs with distinct ids; gives them by id in their order.

    Raises SpecError as `check_child`, `("duplicate_child_name", Id)`, or `("badarg", X)` if it is
    no list.
    """
    if not isinstance(specs, (list, tuple)):
        raise SpecError(("badarg", specs))
    checked: dict[Any, ChildSpec] = {}
    for spec in specs:
        child = check_child(spec, auto_shutdown)
        if child.id in checked:
            raise SpecError(("duplicate_child_name", child.id))
        checked[child.id] = child
    return checked


def check_childspecs(specs: Iterable[Any], auto_shutdown: str | None = None) -> None:
    """Check child specs without starting anything (supervisor:check_childspecs/1,2).

    Raises SpecError; `("invalid_auto_shutdown", X)` if that argument is none of the three.
    """
    if auto_shutdown is not None and auto_shutdown not in AUTO_SHUTDOWNS:
        raise SpecError(("invalid_auto_shutdown", auto_shutdown))
    check_children(specs, auto_shutdown)


def named(spec: ChildSpec, args: tuple[Any, ...]) -> Any:
    """Give the name a child is to be registered under, or None.

    Raises StartError if the spec's name is a function and that fails or gives no hashable name.
    """
    name: Any | Callable[..., Any] = spec.name
    if not callable(name):
        return name
    try:
        made = name(*args)
        hash(made)
    except Exception as error:
        raise StartError(spec.id, Crash.of(error)) from error
    return made
