"""A call on its way: the request, the response, the bytes of its body. Knows no source."""
