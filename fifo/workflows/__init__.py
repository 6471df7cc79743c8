"""Durable operations: what is promised is done, what is half done is undone.

An operation is a stored record (`fifo.model.operation`), a workflow the list of steps that it goes
through, a runner the process that drives one. Registered workflows get their proofs by that alone:
`tests/workflows/test_proofs.py` fails, kills and repeats each at every step.
"""
