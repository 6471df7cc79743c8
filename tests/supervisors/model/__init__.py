"""A small model of OTP's supervisor rules, and random trees that must behave like it."""
