"""The bounds of a simulated host, each with its reason."""

from __future__ import annotations

LOG_BYTES = 64 * 1024
"""End of an instance's console output that is kept: what a person scrolls back through."""

CHANNEL_BYTES = 256 * 1024
"""Output nobody reads before a channel is closed: a slow terminal's backlog, never the guest's."""

LINE_BYTES = 4 * 1024
"""Longest line a shell takes before it answers (Linux: a terminal's canonical line)."""

PROGRESS_STEPS = 10
"""Times that a transfer tells how far it is: a progress bar moves, a thousand do not flood."""
