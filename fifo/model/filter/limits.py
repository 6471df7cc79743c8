"""The bounds of filters and orders, each with its reason."""

from __future__ import annotations

FILTER_BYTES = 4_096
"""A screen of text: what a program generates, and read in well under a millisecond."""
TERMS = 64
"""Restrictions in one filter: a bound on what a list does for each record."""
DEPTH = 16
"""Parentheses inside each other: what anybody still reads."""
ORDERS = 4
"""Fields that one list is ordered by: a sort each."""
SHOWN_CHARACTERS = 40
"""What of a refused word is told."""
SHOWN_FIELDS = 8
"""Fields that are told to who named none of them: what fits a line."""
ALIKE = 2
"""Fields that are told as what may have been meant."""
