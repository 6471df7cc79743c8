"""The state machine: its pure core, gen_statem_SUITE case by case, and OTP's own answers."""
