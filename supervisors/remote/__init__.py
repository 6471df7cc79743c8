"""Processes of other nodes: refs to them, the transport that carries frames, and its rules."""
