"""Recordings of what sources answered, in the layout of a provider's fixtures, so that a failure becomes a test.

Belongs here: the recording client, the folder it is written to, struck-out secrets. Does not: questions and verdicts
(live_examination.py, live_judgement.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from city_data import environment
from city_data.datasets import DATASETS, Dataset
from city_data.providers.base import ParsedMonth, Payload, Provider, Request
from city_data.providers.http import Accept, HttpClient
from city_data.providers.transport.response import Response, accept_ok
from city_data.texts import printable

if TYPE_CHECKING:
    import pandas as pd

_MOST_BODY = 4_000_000
_VALUES = 3
# As far as parsing needs it; the payloads have what a calendar needs beside it.
_PLACE = ("city_id", "latitude", "longitude", "timezone")


@dataclass
class RecordingClient(HttpClient):
    """Keeps every answer that it gets, refused ones too."""

    answers: list[Response] = field(default_factory=list)

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Accept = accept_ok,
        max_bytes: int = _MOST_BODY,
        secret_params: Mapping[str, str] | None = None,
    ) -> Response:
        return super().get(url, params, headers, self._recorded(accept), max_bytes, secret_params)

    def head(self, url: str, accept: Accept = accept_ok) -> Response:
        return super().head(url, self._recorded(accept))

    def beginning(self, url: str, into: Path, size: int, accept: Accept = accept_ok) -> Response:
        return super().beginning(url, into, size, self._recorded(accept))

    def _recorded(self, accept: Accept) -> Accept:
        def judge(response: Response) -> None:
            self.answers.append(response)
            accept(response)

        return judge


def answer_line(response: Response) -> str:
    """Status, address, size, date and quota headers of an answer."""
    quota = [f"{name} {text}" for name, text in response.headers.items() if "limit" in name or name == "retry-after"]
    dated = response.headers.get("last-modified")
    parts = [f"{response.status} {response.url}", f"{len(response.body):,} bytes", *quota]
    return printable(", ".join([*parts, *([f"modified {dated}"] if dated else [])]))


def record(
    folder: Path,
    provider: Provider,
    request: Request,
    payloads: Sequence[Payload],
    parsed: ParsedMonth | None,
    answers: Sequence[Response],
    problem: str | None,
) -> None:
    """Write the payloads, or else the answers, and `request.json`. `problem` is the verdict, which a test repeats."""
    folder.mkdir(parents=True, exist_ok=True)
    bodies = {payload.name: payload.path.read_bytes() for payload in payloads}
    bodies = bodies or {f"answer-{n}.bin": answer.body for n, answer in enumerate(answers, 1)}
    for name, body in bodies.items():
        (folder / name).write_bytes(_without_secrets(body))
    dataset = DATASETS[provider.capabilities.dataset]
    whole = dataset.expected_rows(request.month, request.location.timezone, provider.capabilities.resolution)
    document: dict[str, Any] = {
        "month": str(request.month),
        "as_of": request.as_of.isoformat(),
        "place": {name: getattr(request.location, name) for name in _PLACE},
        "settings": request.settings.model_dump(mode="json"),
        "payloads": list(bodies),
        "rows": whole if parsed is None else len(parsed.frame),
        **({"values": {}, "nulls": {}} if parsed is None else _values(parsed, dataset, provider, request)),
        "received": 0 if parsed is None else parsed.received,
        "rejected": {} if parsed is None else dict(parsed.rejected),
        **({} if problem is None else {"problem": problem}),
        "answers": [answer_line(answer) for answer in answers],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1).encode()
    (folder / "request.json").write_bytes(_without_secrets(text))


def _values(parsed: ParsedMonth, dataset: Dataset, provider: Provider, request: Request) -> dict[str, Any]:
    """Some values that must come out again, and one that must be missing: the hour after the month, if all are there.
    A row is named by its key: the date, and the values of the other keys behind blanks."""
    frame, values, nulls = parsed.frame, dict[str, Any](), dict[str, Any]()
    for name in provider.capabilities.columns:
        if name not in frame:
            continue
        for _, row in frame[frame[name].notna()].head(_VALUES).iterrows():
            value = row[name]
            values.setdefault(_key(row, dataset), {})[name] = value if isinstance(value, str) else float(value)
        for _, row in frame[frame[name].isna()].head(1).iterrows():
            nulls.setdefault(_key(row, dataset), []).append(name)
    after = request.month.bounds(request.location.timezone)[1]
    beyond = " ".join([after.isoformat(), *map(str, dataset.key_values[0])])
    return {"values": values, "nulls": nulls or {beyond: [provider.capabilities.columns[0]]}}


def _key(row: pd.Series[Any], dataset: Dataset) -> str:
    return " ".join([row["date"].isoformat(), *(str(row[name]) for name in dataset.key[1:])])


def _without_secrets(body: bytes) -> bytes:
    for variable in environment.VARIABLES:
        if variable.secret and (value := variable.get()):
            body = body.replace(value.encode(), b"***")
    return body
