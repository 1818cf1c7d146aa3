"""`city-data doctor --live`: one small real question to each configured source, by the product's client and parser.

Belongs here: the questions, the verdicts, and recordings of the answers as fixtures. Does not: the other checks of a
deployment (doctor.py), or any repair.

A month of a source of small answers is fetched, parsed and put through the gate; of a source of whole files only the
catalogue and the file's headers are asked for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from city_data import environment
from city_data.datasets import expected_stamps
from city_data.errors import UsageError
from city_data.pipeline.feeds import Feed, ProviderBinding
from city_data.pipeline.gate import admit
from city_data.pipeline.outcomes import TypedOutcomes
from city_data.providers.base import CollectingProvider, NotConfigured, ParsedMonth, Payload, ProviderError, Request
from city_data.providers.http import Accept, HttpClient, HttpSettings
from city_data.providers.transport.response import Response, accept_ok
from city_data.texts import printable
from city_data.window import Month

# At most this share of a source's day, whatever the plan.
QUOTA_SHARE = 0.05
# Beyond the declared lag, as for the overdue metric.
LATENESS = timedelta(days=3)
_SETTINGS = HttpSettings(read_timeout=20, deadline=60, attempts=1)
_MOST_BODY = 4_000_000


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

    def _recorded(self, accept: Accept) -> Accept:
        def judge(response: Response) -> None:
            self.answers.append(response)
            accept(response)

        return judge


@dataclass
class LiveFinding:
    """What one source answered. `problem` is None for an answer as the parser expects it."""

    name: str
    lines: list[str]
    problem: str | None = None


def examine_live(console: Console, feeds: Sequence[Feed], moment: datetime, record: Path | None = None) -> bool:
    """Ask, print and judge; True if every source is as its parser expects. A missing key counts where nothing else
    serves. `record` gets a folder of fixtures a source.

    Raises UsageError for a folder that cannot be made.
    """
    if record is not None:
        try:
            record.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--record {record} cannot be used: {error.strerror or error}") from error
    healthy = True
    for feed, binding in _questions(feeds):
        calls, share = binding.provider.calls(binding.settings), _share_of_quota(binding)
        name = f"{binding.provider.name} ({feed.city.city_id})"
        console.print(f"{name}: asking {', '.join(binding.provider.capabilities.hosts)}, at most {calls} calls, "
                      f"{share:.2%} of its day", highlight=False)  # fmt: skip
        if share > QUOTA_SHARE:
            console.print(f"[yellow]not asked[/]: more than {QUOTA_SHARE:.0%} of its day", highlight=False)
            continue
        finding = ask(feed, binding, moment, record)
        for line in finding.lines:
            console.print(f"  {escape(line)}", highlight=False)
        verdict = "[green]ok[/]" if finding.problem is None else f"[bold red]bad[/] {escape(finding.problem)}"
        console.print(f"  {verdict}", highlight=False)
        healthy &= finding.problem is None
    return healthy


def ask(
    feed: Feed, binding: ProviderBinding, moment: datetime, record: Path | None, routes: Mapping[str, str] | None = None
) -> LiveFinding:
    """One question to one source."""
    provider = binding.provider
    http = RecordingClient(provider.name, provider.capabilities, settings=_SETTINGS)
    if routes is not None:
        http.routes = routes
    request = feed.request(binding, _month_to_ask(feed, binding, moment), moment)
    finding, payloads, parsed = LiveFinding(provider.name, []), list[Payload](), None
    with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
        try:
            with TypedOutcomes(provider.name, request):
                payloads = _payloads(binding, request, http, Path(folder), finding)
                parsed = provider.parse(request, payloads) if payloads else None
                if parsed is not None:
                    _judge(feed, binding, request, parsed, finding)
        except NotConfigured as error:
            finding.lines.append(str(error))
            spare = feed.fallback is not None and binding is feed.primary
            if binding is feed.primary and not spare:
                finding.problem = "no key, and nothing serves in its place"
        except ProviderError as error:
            finding.problem = str(error)
        finding.lines = [*map(_answer_line, http.answers), *finding.lines]
        if record is not None and http.answers:
            _record(record / provider.name, request, payloads, parsed, http.answers, len(expected_stamps(
                request.month, feed.city.timezone, provider.capabilities.resolution)))  # fmt: skip
    return finding


def _questions(feeds: Sequence[Feed]) -> Iterator[tuple[Feed, ProviderBinding]]:
    """Each source once, for the first city that names it."""
    known: set[str] = set()
    for feed in feeds:
        for binding in feed.choices:
            if binding.provider.name not in known:
                known.add(binding.provider.name)
                yield feed, binding


def _share_of_quota(binding: ProviderBinding) -> float:
    limit = binding.provider.rate_limit()
    days = [limit.calls * 86_400 / limit.seconds, *(quota.calls * 86_400 / quota.seconds for quota in limit.quotas)]
    return binding.provider.calls(binding.settings) * limit.weight / min(days)


def _month_to_ask(feed: Feed, binding: ProviderBinding, moment: datetime) -> Month:
    """The open month of a live feed; the newest complete one of whole files; else the month of the newest data due."""
    capabilities = binding.provider.capabilities
    if capabilities.forward_only:
        return Month.at(moment, feed.city.timezone)
    month = Month.at(moment - capabilities.lag - LATENESS, feed.city.timezone)
    return month - 1 if binding.provider.whole_files else month


def _payloads(
    binding: ProviderBinding, request: Request, http: HttpClient, folder: Path, finding: LiveFinding
) -> list[Payload]:
    provider = binding.provider
    if isinstance(provider, CollectingProvider):
        snapshot = provider.poll(request, http, folder)
        _judge_reach(snapshot.newest, request.as_of, provider.capabilities.lag, finding)
        return [snapshot.payload]
    if not provider.whole_files:
        return list(provider.fetch(request, http, folder))
    if (fingerprint := provider.fingerprint(request, http)) is None:
        finding.lines.append(provider.check_connection(http))
        return []
    finding.lines += [f"{request.month}: {name} {text}" for name, text in fingerprint.items()]
    if fingerprint.get("bytes") == "0":
        finding.problem = f"the file of {request.month} is empty"
    return []


def _judge(feed: Feed, binding: ProviderBinding, request: Request, parsed: ParsedMonth, finding: LiveFinding) -> None:
    """Columns, a sample, the reach of the newest data, and the gate's verdict."""
    provider = binding.provider
    admitted = admit(parsed, request, provider.capabilities)
    frame = admitted.parsed.frame
    columns = [column for column in feed.dataset.columns if column.name in provider.capabilities.columns]
    present = [column.name for column in columns if column.name in frame and frame[column.name].notna().any()]
    finding.lines.append(f"columns with values: {', '.join(present) or 'none'}; promised: "
                         f"{', '.join(column.name for column in columns)}")  # fmt: skip
    finding.lines.append(f"fields of the source: {', '.join(map(str, parsed.fields))}")
    numbers = [column for column in columns if column.name in present and column.kind == "number"]
    if numbers:
        row = frame[frame[numbers[0].name].notna()].iloc[-1]
        finding.lines.append(f"sample: {numbers[0].name} {row[numbers[0].name]:g} {numbers[0].unit} at {row['date']}")
    refused = [f"{one.name}: {one.description}" for one in admitted.outcomes if one.blocking and not one.passed]
    # Words come and go with the weather; a month of a live feed has only begun.
    absent = [c.name for c in columns if c.name not in present and c.kind == "number"]
    if refused:
        finding.problem = "; ".join(refused)
    elif absent and not isinstance(provider, CollectingProvider):
        finding.problem = f"no value of {', '.join(absent)}, which the source promises"
    elif not isinstance(provider, CollectingProvider):
        if not len(frame):
            finding.problem = "not one usable value"
            return
        step = timedelta(days=1) if provider.capabilities.resolution == "daily" else timedelta(hours=1)
        newest = frame["date"].iloc[-1].to_pydatetime() + step
        _judge_reach(newest, request.as_of, provider.capabilities.lag, finding)


def _judge_reach(newest: datetime, moment: datetime, lag: timedelta, finding: LiveFinding) -> None:
    age = moment - newest.astimezone(UTC)
    text = f"newest data {newest:%Y-%m-%d %H:%M}, {age / timedelta(hours=1):.1f} h old; declared lag {lag}"
    finding.lines.append(text)
    if age > lag + LATENESS and finding.problem is None:
        finding.problem = f"stale: {text}"


def _answer_line(response: Response) -> str:
    quota = [f"{name} {text}" for name, text in response.headers.items() if "limit" in name or name == "retry-after"]
    dated = response.headers.get("last-modified")
    parts = [f"{response.status} {response.url}", f"{len(response.body):,} bytes", *quota]
    return printable(", ".join([*parts, *([f"modified {dated}"] if dated else [])]))


def _record(
    folder: Path,
    request: Request,
    payloads: Sequence[Payload],
    parsed: ParsedMonth | None,
    answers: Sequence[Response],
    rows: int,
) -> None:
    """In the layout of a provider's fixtures: moved there, a failure is a test that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    bodies = {payload.name: payload.path.read_bytes() for payload in payloads}
    bodies = bodies or {f"answer-{n}.bin": answer.body for n, answer in enumerate(answers, 1)}
    for name, body in bodies.items():
        (folder / name).write_bytes(_without_secrets(body))
    document: dict[str, Any] = {
        "month": str(request.month),
        "as_of": request.as_of.isoformat(),
        "place": asdict(request.location),
        "settings": request.settings.model_dump(mode="json"),
        "payloads": list(bodies),
        "rows": rows if parsed is None else len(parsed.frame),
        "values": {},
        "nulls": {},
        "received": 0 if parsed is None else parsed.received,
        "rejected": {} if parsed is None else dict(parsed.rejected),
        "answers": [_answer_line(answer) for answer in answers],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1).encode()
    (folder / "request.json").write_bytes(_without_secrets(text))


def _without_secrets(body: bytes) -> bytes:
    for variable in environment.VARIABLES:
        if variable.secret and (value := variable.get()):
            body = body.replace(value.encode(), b"***")
    return body
