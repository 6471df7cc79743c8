"""A bell between threads: any may ring it, one selects on it."""

from __future__ import annotations

import os
import threading


class Wakeup:
    """An eventfd that is written to at most once until it is heard (Linux)."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._rung = False
        self._closed = False

    def fileno(self) -> int:
        """Give what to select on: readable when it was rung."""
        return self._fd

    def ring(self) -> None:
        """Wake the selecting thread; any thread, and without effect after `close`."""
        if self._rung:
            return
        with self._lock:
            if not self._closed and not self._rung:
                self._rung = True
                os.eventfd_write(self._fd, 1)

    def hear(self) -> None:
        """Be ready for the next ring; the selecting thread, before it looks for what is new."""
        with self._lock:
            self._rung = False
            os.eventfd_read(self._fd)

    def close(self) -> None:
        """Give the descriptor back; the lock keeps a late ring from writing to its successor."""
        with self._lock:
            self._closed = True
            os.close(self._fd)
