"""The simulated driver: a whole host in memory, with latency, capacity and faults from a seed."""
