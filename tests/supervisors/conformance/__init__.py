"""OTP's supervisor_SUITE, case by case: otp.md 4.12 lists what each must hold."""
