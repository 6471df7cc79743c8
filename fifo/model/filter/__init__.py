"""Filters and orders of lists (AIP-160, AIP-132) over the fields that a schema names."""

from __future__ import annotations

from fifo.model.filter.expression import compile_filter
from fifo.model.filter.order import Order, ordered, parse_order_by
from fifo.model.filter.schema import Field, Schema

__all__ = ["Field", "Order", "Schema", "compile_filter", "ordered", "parse_order_by"]
