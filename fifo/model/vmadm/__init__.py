"""vmadm's payloads and properties: read, checked, changed, completed and written again.

Pure functions of values; identity, addresses and time are passed in. Behaviour is vmadm's own
(SmartOS: VM.js, proptable.js), described in the documentation of each module.
"""

from __future__ import annotations

from fifo.model.vmadm.payload import Draft, read_payload

__all__ = ["Draft", "read_payload"]
