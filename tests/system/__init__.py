"""Whole nodes as real processes, used through the API and the command line."""
