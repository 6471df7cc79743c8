"""Resources between the model and fifo.v1: one module a resource, both ways."""
