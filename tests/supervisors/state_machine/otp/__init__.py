"""What OTP's own gen_statem does with programs."""
