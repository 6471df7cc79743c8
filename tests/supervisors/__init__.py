"""Tests of the package supervisors."""
