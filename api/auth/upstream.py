"""Answers of the services that the reader asks. Belongs here: reading one, and no more of it than is sane.

Does not: what is asked, or what an answer means (tokens.py, query/tenants.py).
"""

from __future__ import annotations

import httpx


async def read_capped(response: httpx.Response, most: int) -> bytes:
    """The body of a streamed answer. Raises ValueError for another status than 200 and for more than `most` bytes."""
    if response.status_code != 200:
        raise ValueError(f"status {response.status_code}")
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise ValueError(f"larger than {most} bytes")
    return body
