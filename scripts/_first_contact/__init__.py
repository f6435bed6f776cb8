"""What the server really does, asked with an account. Run by scripts/first-contact."""
