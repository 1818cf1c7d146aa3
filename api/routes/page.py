"""The web page at `/`. Belongs here: serving its files from `page/`, with caching and security headers.

Does not: any data. The page calls the public routes like every client, with the user's token where one is required.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from api.bodies.responses import is_known
from api.query.negotiation import encoding_for
from city_data import environment
from city_data.datasets import DATASETS
from city_data.frames.training_columns import training_columns
from city_data.window import as_of, retention_months

FOLDER = Path(__file__).parent.parent / "page"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# No other origin and nothing inline: a source's text that reached the page as markup could not run.
_POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    # Revalidated on each request, usually with 304: after an upgrade no browser mixes old and new scripts.
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True)
class PageFile:
    media_type: str
    plain: bytes
    packed: bytes

    @classmethod
    def of(cls, suffix: str, content: bytes) -> PageFile:
        return cls(_MEDIA_TYPES[suffix], content, gzip.compress(content, 6, mtime=0))

    def answer(self, request: Request) -> Response:
        packed = encoding_for(request.headers, ("gzip",)) == "gzip"
        body = self.packed if packed else self.plain
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = _HEADERS | {"ETag": tag}
        if is_known(request.headers, tag):
            return Response(status_code=304, headers=headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(body, media_type=self.media_type, headers=headers)


def router(tenant_claim: str, has_documentation: bool) -> APIRouter:
    """`/` and `/page/...`, without authentication: the files contain no data. Raises ConfigurationError."""
    files = _files() | {"facts.json": PageFile.of(".json", _facts(tenant_claim, has_documentation))}
    routes = APIRouter(include_in_schema=False)

    async def index(request: Request) -> Response:
        return files["index.html"].answer(request)

    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404, f"The page has no file {name[:80]}.")
        return files[name].answer(request)

    routes.add_api_route("/", index, methods=["GET", "HEAD"])
    routes.add_api_route("/page/{name:path}", file, methods=["GET", "HEAD"])
    return routes


@cache
def _files() -> dict[str, PageFile]:
    """The files by path below `page/`, read once per process."""
    return {
        path.relative_to(FOLDER).as_posix(): PageFile.of(path.suffix, path.read_bytes())
        for path in sorted(FOLDER.rglob("*"))
        if path.is_file()
    }


def _facts(tenant_claim: str, has_documentation: bool) -> bytes:
    """Facts missing in public routes: what datasets and frames declare, the window, the tenant claim, `/docs`."""
    facts = {
        "datasets": {name: asdict(dataset) for name, dataset in DATASETS.items()},
        "frame": [{"name": one.name, "kind": one.kind, "unit": one.unit} for one in training_columns("daily")],
        "window_months": retention_months(),
        "as_of": as_of().isoformat() if environment.AS_OF.get() else None,  # null: the browser's own clock
        "tenant_claim": tenant_claim,
        "documentation": has_documentation,
    }
    return json.dumps(facts, ensure_ascii=False).encode()
