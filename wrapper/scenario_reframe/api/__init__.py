"""The generated client, made safe: builds requests, reads replies, maps errors, repeats calls."""
