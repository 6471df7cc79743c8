"""Watching a running process's tree in a terminal: a server inside it, a command beside it.

`ObserveServer` opens a unix socket in the process; `python -m supervisors.observe --socket PATH`
draws what it says.
"""
