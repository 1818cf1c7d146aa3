"""Responses of upstream services. Belongs here: reading one up to a size limit.

Does not: sending the request, or parsing the response (tokens.py, query/tenants.py).
"""

from __future__ import annotations

import httpx


async def read_capped(response: httpx.Response, most: int) -> bytes:
    """The body of a streamed response. Raises ValueError for a status other than 200 and for more than `most` bytes."""
    if response.status_code != 200:
        raise ValueError(f"status {response.status_code}")
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise ValueError(f"larger than {most} bytes")
    return body
