"""What was asked for and paid for, on disk. Imported when a ledger is asked for."""
