"""The OpenAPI document and its released baseline. A tool for development; not shipped."""
