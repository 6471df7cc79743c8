"""OTP's terms as JSON: atoms are strings, `{shutdown, X}` an object, other tuples arrays."""

from __future__ import annotations

from typing import Any

from supervisors.process import Process
from supervisors.reasons import Shutdown
from supervisors.ref import Ref

_ATOMS = {True: "true", False: "false", None: "null"}
_TRUTH = {"true": True, "false": False}


def term(value: Any) -> Any:
    """Write an exit reason, a result or what a spec error quotes as a JSON value.

    Booleans and null are atoms to OTP, so they come out as strings. Raises TypeError for a value
    that no scenario can bring about.
    """
    if value is None or isinstance(value, bool):
        return _ATOMS[value]
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Shutdown):
        return {"shutdown": term(value.detail)}
    if isinstance(value, (tuple, list)):
        return [term(item) for item in value]
    if isinstance(value, dict):
        return {key: term(item) for key, item in value.items()}
    if isinstance(value, (Ref, Process)):
        return "pid"
    raise TypeError(f"{value!r} has no form in a scenario's output")


def atom(value: Any) -> Any:
    """Read a value of a child spec as OTP would get it: "true" and true are the same atom."""
    if isinstance(value, str):
        return _TRUTH.get(value, value)
    if isinstance(value, list):
        return [atom(item) for item in value]
    return value


def reason(value: Any) -> Any:
    """Read REASON, a string or `{"shutdown": STRING}`, as an exit reason."""
    return Shutdown(value["shutdown"]) if isinstance(value, dict) else value
