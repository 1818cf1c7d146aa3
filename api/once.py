"""`python -m api.once PATH`: one answer of the reader on standard output, without a server.

Belongs here: one GET to the application in this process. Does not: the application (app.py), or serving it
(__main__.py). The first line is JSON with `status` and `headers`, the rest is the body.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import BinaryIO

import httpx
import pydantic

from api.app import create_app
from api.settings import Settings, problems
from city_data.errors import CityDataError


async def _answer(path: str, output: BinaryIO) -> None:
    app = create_app(Settings())
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport) as client:
        response = await client.get(f"http://127.0.0.1{path}")
    head = {"status": response.status_code, "headers": dict(response.headers)}
    output.write(json.dumps(head).encode() + b"\n" + response.content)


def main() -> int:
    """Exit code 2 and a message for invalid settings. The request's log goes to stderr, not into the answer."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        with output:
            asyncio.run(_answer(sys.argv[1], output))
    except (pydantic.ValidationError, CityDataError) as error:
        print(problems(error), file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
