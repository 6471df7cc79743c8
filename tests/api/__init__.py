"""The API over a real loopback server with TLS, on a fleet with a simulated host."""
