"""The OpenAPI document and its released baseline. A development tool, which is not shipped."""
