"""The public API, generated from protos/fifo/v1 by `make protos`: never edited."""
