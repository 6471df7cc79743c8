"""The node: its supervision tree, put together from every floor, and the program that runs it."""
