"""Supervision scenarios: a tree and steps in, events out, comparable line by line with OTP.

`python -m supervisors.scenario FILE.json` runs one; `run(parse(text), emit)` does the same inside
a program. The form is described in `python -m supervisors.scenario --help`.
"""

from __future__ import annotations

from supervisors.scenario.form import Scenario, check, parse
from supervisors.scenario.runner import run

__all__ = ["Scenario", "check", "parse", "run"]
