"""`city-data doctor --live`: one small real question to each configured source, by the product's client and parser.

Belongs here: the questions, said before they are asked, and the report. Does not: the verdicts (live_judgement.py),
recordings (live_recording.py), the other checks of a deployment (doctor.py), or any repair.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from city_data.errors import UsageError
from city_data.operations.live_judgement import LATENESS, LiveFinding, judge, judge_poll
from city_data.operations.live_recording import RecordingClient, answer_line, record
from city_data.pipeline.feeds import Feed, ProviderBinding
from city_data.pipeline.outcomes import TypedOutcomes
from city_data.providers.base import (
    CollectingProvider,
    NotAvailable,
    NotConfigured,
    NotYetPublished,
    Payload,
    ProviderError,
    Request,
    Sample,
)
from city_data.providers.http import HttpSettings
from city_data.window import Month

# At most this share of a source's day, whatever the plan.
QUOTA_SHARE = 0.05
_SETTINGS = HttpSettings(read_timeout=20, deadline=60, attempts=1)


def examine_live(console: Console, feeds: Sequence[Feed], moment: datetime, folder: Path | None = None) -> bool:
    """Say what is asked, ask, print and judge; True if every source is as its parser expects. A missing key counts
    where nothing else serves. `folder` gets a folder of fixtures a source.

    Raises UsageError for a folder that cannot be made.
    """
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--record {folder} cannot be used: {error.strerror or error}") from error
    healthy = True
    for feed, binding in _questions(feeds):
        provider, share = binding.provider, _share_of_quota(binding)
        month = _month_to_ask(feed, binding, moment)
        console.print(f"{provider.name} ({feed.city.city_id}): asking {', '.join(provider.capabilities.hosts)} for "
                      f"{provider.sampled}, {month}; at most {provider.calls(binding.settings)} calls, "
                      f"{share:.2%} of its day", highlight=False)  # fmt: skip
        if share > QUOTA_SHARE:
            console.print(f"[yellow]not asked[/]: more than {QUOTA_SHARE:.0%} of its day", highlight=False)
            continue
        finding = ask(feed, binding, moment, folder)
        for line in finding.lines:
            console.print(f"  {escape(line)}", highlight=False)
        verdict = "[green]ok[/]" if finding.problem is None else f"[bold red]bad[/] {escape(finding.problem)}"
        console.print(f"  {verdict}", highlight=False)
        healthy &= finding.problem is None
    return healthy


def ask(
    feed: Feed, binding: ProviderBinding, moment: datetime, folder: Path | None, routes: Mapping[str, str] | None = None
) -> LiveFinding:
    """One question to one source."""
    provider = binding.provider
    http = RecordingClient(provider.name, provider.capabilities, settings=_SETTINGS)
    if routes is not None:
        http.routes = routes
    question = feed.request(binding, _month_to_ask(feed, binding, moment), moment)
    finding, sample, parsed = LiveFinding(provider.name), Sample(question, list[Payload]()), None
    with tempfile.TemporaryDirectory(prefix="city_data-") as scratch:
        try:
            with TypedOutcomes(provider.name, question):
                sample = _sample(binding, question, http, Path(scratch), finding)
                parsed = provider.parse(sample.request, sample.payloads)
                judge(provider, question, sample.request, sample.payloads, parsed, sample.newest, finding)
        except NotConfigured as error:
            finding.lines.append(str(error))
            if binding is feed.primary and feed.fallback is None:
                finding.add("no key, and nothing serves in its place")
        except (NotYetPublished, NotAvailable) as error:
            finding.add(f"stale: {error}")
        except ProviderError as error:
            finding.add(str(error))
        finding.lines = [*map(answer_line, http.answers), *finding.lines]
        if folder is not None and http.answers:
            target = folder / f"{provider.name}-{moment:%Y-%m-%d}"
            record(target, provider, sample.request, sample.payloads, parsed, http.answers, finding.problem)
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
    month = Month.at(moment + capabilities.ahead - capabilities.lag - LATENESS, feed.city.timezone)
    return month - 1 if binding.provider.whole_files else month


def _sample(
    binding: ProviderBinding, request: Request, http: RecordingClient, scratch: Path, finding: LiveFinding
) -> Sample:
    provider = binding.provider
    if not isinstance(provider, CollectingProvider):
        return provider.sample(request, http, scratch)
    snapshot = provider.poll(request, http, scratch)
    judge_poll(snapshot.newest, request.as_of, finding)
    return Sample(request, [snapshot.payload])
