"""The bounds of running operations, each with its reason."""

from __future__ import annotations

COMMIT_ATTEMPTS = 8
"""Lost compare-and-sets of one step before it fails with ABORTED (design: section 6)."""
RETRY_FIRST_S = 0.1
"""Wait before a step that could not reach what it needs is tried again; it doubles each time."""
RETRY_MOST_S = 2.0
"""Longest such wait: a host that is back is used within this time."""
STEP_PATIENCE_S = 60.0
"""How long a step tries to reach a host before it fails: an agent that was restarted, or a control
node that took over, is there by then; a host that is not has to be given up some time."""
UNDO_PATIENCE_S = 30.0
"""How long an undo tries to reach a host before the host owes it (a cleanup record): a restarted
agent is back within a few seconds, and the caller waits for the end of the operation."""
FAILURE_CHARACTERS = 400
"""Length of a failure's text in a record: with 1,000 of them a batch stays below a store value."""
