"""The bounds of keys, certificates and tokens, each with its reason."""

from __future__ import annotations

AUTHORITY_DAYS = 3_650
"""Life of a node's own CA: clients pin it, so it outlives the machine."""
SERVER_DAYS = 397
"""Life of a server certificate: the longest that common TLS clients accept."""
RENEW_PERCENT = 67
"""Share of a certificate's life after which it is renewed: a third is left to notice a failure."""
BACKDATE_S = 3_600.0
"""A certificate holds from this long ago, for clients whose clock is behind."""
SECRET_BYTES = 32
"""Randomness of a token's secret: beyond any guess, so that a plain hash is enough to store."""
TOKEN_ID_BYTES = 6
"""Randomness of a token's id: it only tells tokens apart."""
TOKEN_CHARACTERS = 128
"""Longest text that is looked at as a token; longer ones are none."""
