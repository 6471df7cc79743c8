"""OTP itself as the judge of our supervision semantics."""
