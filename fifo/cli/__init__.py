"""The `fifo` command: the client of every call, and the node itself (`fifo serve`)."""
