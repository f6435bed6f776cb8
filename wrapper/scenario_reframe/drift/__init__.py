"""The vendor's model against the spec: what drifted. Imported when it is asked for."""
