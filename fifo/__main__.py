"""`python -m fifo` is the `fifo` command."""

from __future__ import annotations

from fifo.cli.main import main

main()
