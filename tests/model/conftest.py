"""How properties are tried here: without a deadline, since other tests may have the processor."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("model", deadline=None)
settings.load_profile("model")
