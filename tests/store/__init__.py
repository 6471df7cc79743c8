"""Tests of `fifo.store`: one contract for all engines, then each engine's own promises."""
