"""Ports: where everything that blocks is done, outside of the shard, with a deadline."""
