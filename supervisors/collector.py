"""Garbage collection for a process that holds a million long-lived objects.

CPython's full collections walk every container, half a second and more at a million processes, and
while a fleet starts they run again and again. The runtime keeps its own objects free of cycles, so
reference counting frees them. What survives two young collections is therefore frozen: never walked
again, until a quiet moment allows one full collection of everything.
"""

from __future__ import annotations

import gc
from typing import Any

from supervisors import limits


class Collector:
    """Sets the collector's policy for this interpreter while a host runs.

    `install` and `uninstall` bracket the host's life; the host calls `collect_all` when it is due
    and nothing has run for a while. The policy is process-wide, as CPython's collector is;
    `tune_gc=False` at the host leaves it alone.
    """

    def __init__(self) -> None:
        self._thresholds: tuple[int, int, int] | None = None
        self._frozen_since_full = 0

    def install(self) -> None:
        """Take over: small young collections, survivors frozen, no full ones by themselves."""
        self._thresholds = gc.get_threshold()
        gc.set_threshold(limits.GC_YOUNG_OBJECTS, limits.GC_YOUNG_ROUNDS, 1_000_000)
        gc.callbacks.append(self._collected)

    def uninstall(self) -> None:
        """Give the collector back as it was."""
        if self._thresholds is not None:
            gc.callbacks.remove(self._collected)
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()
            self._thresholds = None

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "stop" and info["generation"] == 1:
            gc.freeze()
            self._frozen_since_full += limits.GC_YOUNG_OBJECTS * limits.GC_YOUNG_ROUNDS

    @property
    def full_due(self) -> bool:
        """Whether enough was frozen that a full collection is worth its pause."""
        return self._frozen_since_full >= limits.GC_FULL_AFTER_OBJECTS

    def collect_all(self) -> None:
        """Collect everything; called by the host after `limits.GC_QUIET_S` without a turn."""
        self._frozen_since_full = 0
        gc.unfreeze()
        gc.collect()
        gc.freeze()
