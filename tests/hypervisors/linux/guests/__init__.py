"""Tests of the small guests."""
