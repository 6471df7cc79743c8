"""Tests of nodes among other nodes: payloads, links between nodes, remote refs."""
