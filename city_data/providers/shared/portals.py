"""Answers of open data portals, whichever their software: refusals by a firewall, and pages in place of files.

Belongs here: rules of every portal. Does not: a catalogue (ckan.py), or the content of a file.
"""

from __future__ import annotations

import re
from pathlib import Path

from city_data.providers.errors import TransientError
from city_data.providers.transport.documents import begins_json
from city_data.providers.transport.response import (
    MINUTE,
    Response,
    accept_ok,
    refuse_broken_json,
    refuse_firewall,
    retry_after,
)

# Of CKAN, of Opendatasoft, and of gateways. A document of records begins otherwise.
_ERROR = re.compile(
    rb'[\xef\xbb\xbf\s]*\{\s*"(?:error\w*|message|success|help|status\w*|code|detail|title|fault|timestamp)"',
    re.IGNORECASE,
)


def judge(response: Response) -> None:
    """The portals' firewalls answer bursts with 403 or 429."""
    refuse_firewall(response)
    if response.status == 403:
        raise TransientError(f"{response.url} answered 403", retry_after(response.headers, MINUTE))
    accept_ok(response)


def refuse_page(path: Path, begins: bytes | None = None) -> None:
    """Raises TransientError for HTML, an empty file, or in place of a table a text or the document of an error:
    firewalls, limits and errors answer so with status 200. `begins` is the format's magic number, if it has one."""
    with path.open("rb") as file:
        head = file.read(200)
    if not head:
        raise TransientError(f"{path.name}: the download is empty")
    page = head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<")
    # A table in UTF-16 is another format, for the parser to name.
    text = path.suffix == ".csv" and not any(mark in head.partition(b"\n")[0] for mark in b";,\t\0")
    error = path.suffix == ".csv" and _ERROR.match(head)
    if page or text or error or (begins is not None and not head.startswith(begins)):
        kind = path.suffix.lstrip(".").upper()
        raise TransientError(f"{path.name}: the download is not a {kind} file but {head.decode('latin-1').strip()!r}")


def judge_json(response: Response) -> None:
    """The rule of a document: an object in JSON, or a passing fault."""
    judge(response)
    text = response.text("latin-1").strip()
    if not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if not begins_json(text, "{"):
        raise TransientError(f"{response.url} answered what is not JSON: {' '.join(text[:200].split())}")
    refuse_broken_json(response)
