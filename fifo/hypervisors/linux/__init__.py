"""A Linux host: zones by an OCI runtime, virtual machines by QEMU."""
