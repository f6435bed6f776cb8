"""Make generated/ and the README's table from spec/openapi.yaml. Run by scripts/generate."""
