"""From spec/openapi.yaml to generated/ and the README's table. Run by scripts/generate."""
