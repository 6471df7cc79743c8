"""Tests of the observer: snapshots, feeds, metrics, the terminal and the demonstration."""
