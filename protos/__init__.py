"""The public API in Protocol Buffers, and what makes Python of it."""
