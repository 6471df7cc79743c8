"""Where instances' files are: one interface, and an implementation for each kind of pool."""
