"""The control plane: who owns which host, what goes where, and which operations run."""
