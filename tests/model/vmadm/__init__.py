"""Tests of vmadm payloads."""
