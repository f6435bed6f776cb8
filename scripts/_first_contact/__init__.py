"""Find out what the real server does, with an account. Run by scripts/first-contact."""
