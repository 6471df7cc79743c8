"""Where zones keep their files."""
