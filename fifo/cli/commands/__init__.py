"""One module a group of commands; none of them imports gRPC before a command runs."""
