"""The SQLite engine: one writer thread with group commit, one reader; the loop runs no SQL."""
