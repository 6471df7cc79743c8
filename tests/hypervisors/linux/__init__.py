"""Tests of the Linux driver: on this very host."""
