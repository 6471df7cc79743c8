"""The bounds that more than one package has to respect, each with its reason."""

from __future__ import annotations

ID_CHARACTERS = 63
"""A resource id is a DNS label (RFC 1035, AIP-122), so that it can be a host name."""
ALIAS_CHARACTERS = 189
"""Display text: what vmadm's callers use fits, and a table column still holds it."""
CHUNK_INSTANCES = 24
"""Instances of a batch that one transaction accepts, or takes back: an undo deletes four keys of
each, and with what the request left of the chunk that is below the store's 100."""
BATCH_INSTANCES = 1_000
"""Requests of one batch call: the operation's record with a result for each stays below 256 KiB."""
PAGE_RESOURCES_DEFAULT = 100
"""Entries of a list reply when the caller does not say."""
PAGE_RESOURCES_MAX = 1_000
"""Entries of a list reply at most: about 1 MB, a quarter of gRPC's default message bound."""
NICS = 32
"""Interfaces of an instance: as many addresses as vmadm allows in all."""
DISKS = 16
"""Disks of a VM: bhyve's two controllers of eight."""
ADDRESSES_A_NIC = 20
"""vmadm's own bound on `ips`."""
PLACED_KEYS = 98
"""Addresses and different networks of one instance: with its claim and its host's sum they are the
100 keys of one transaction. All interfaces with an address of each family on a network each fit."""
TAGS = 256
"""Entries of tags or metadata of one instance; with the bound on their bytes a record fits."""
METADATA_BYTES = 64 * 1024
"""All of an instance's metadata: user-data scripts fit, and a record stays below its bound."""
SNAPSHOTS = 64
"""Snapshots of one instance: qcow2 slows down beyond that, and a list reply holds them all."""
CLAIM_ATTEMPTS = 8
"""Lost compare-and-sets before a placement gives up with ABORTED (design: section 6)."""
OPERATION_DAYS = 7
"""Days that a finished operation is kept."""
CREATE_DEADLINE_S = 300.0
"""vmadm's own limit on provisioning; nothing stays `provisioning` longer."""
STOP_PATIENCE_S = 60.0
"""Seconds a zone has to stop before it is forced (vmadm: 60 s)."""
STOP_PATIENCE_VM_S = 180.0
"""Seconds a VM has to power down before it is forced (vmadm: 180 s)."""
STOP_PATIENCE_MOST_S = 3_600.0
"""The longest that a caller may give: a database that writes all it holds takes minutes."""
STORY_EVENTS = 200
"""Events kept of one instance; the oldest are dropped with a marker."""
STORY_EVENT_BYTES = 2_048
"""One event: a sentence and its figures."""
JOURNAL_REPORT_ENTRIES = 256
"""Journal entries an agent reports in one message; the next go when these are acknowledged."""
SHARES_MAX = 1_000_000_000
"""The largest amount a claim may name, so that sums of a host's claims fit 64 bits."""
