"""The supervision tree to be looked at: as data, and in a terminal.

`node.observer` gives it as data: a snapshot and a feed of changes. `ObserveServer` opens a unix
socket in the process; `python -m supervisors.observe --socket PATH` draws what it says.
"""
