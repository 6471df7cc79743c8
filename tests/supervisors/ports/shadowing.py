"""A module whose table has a name that another table has too."""

from __future__ import annotations

from tests.supervisors.ports.functions import echo

PORT_FUNCTIONS = {"echo": echo}
