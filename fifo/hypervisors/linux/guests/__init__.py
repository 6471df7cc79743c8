"""Small guests, built from the host's own packages, for the first start and for real tests."""
