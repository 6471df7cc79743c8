"""Tests of filters and orders."""
