"""The floors of the project, measured: ours beside OTP and Pykka (`python -m benchmarks`)."""
