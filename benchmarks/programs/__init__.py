"""One measurement a module, each run as a fresh process: `python -m benchmarks.programs.NAME`."""
