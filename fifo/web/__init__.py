"""The HTTP edge: metrics and discovery for Prometheus; later the console and CloudAPI."""
