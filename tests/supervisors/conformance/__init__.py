"""OTP's supervisor_SUITE, case by case."""
