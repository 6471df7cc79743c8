"""The gRPC services: thin, one module a service; the one place that speaks fifo.v1."""
