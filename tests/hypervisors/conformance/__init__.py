"""The one suite that every driver passes: each sentence of `fifo.hypervisors.driver`.

A driver joins by a `Stage` in `stages.py`; nothing here knows what runs underneath.
"""
