"""The ledger: requests and paid jobs, on disk. Imported only when a ledger is used."""
