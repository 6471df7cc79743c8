"""A module that refuses to be imported."""

from __future__ import annotations

raise RuntimeError("no such disk")
