"""Drivers: what acts on a host and reports what is there, and never decides."""
