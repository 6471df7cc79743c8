"""Pykka's documentation as a test list, run against Pykka's own actors and ours."""
