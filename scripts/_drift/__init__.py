"""From what the vendor says of the model to the spec's settings. Run by scripts/drift."""
