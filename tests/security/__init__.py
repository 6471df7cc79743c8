"""Certificates, tokens, files and permissions."""
