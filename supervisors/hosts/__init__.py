"""Three ways to run a shard: inside an asyncio loop, on a thread of its own, simulated."""
