"""Update the spec's settings from the vendor's description. Run by scripts/drift."""
