"""One HTTP call: addresses, request, response, body. Independent of any source."""
