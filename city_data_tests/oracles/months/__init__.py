"""Small invented months of the traffic sources, one module a source, named after its provider."""
