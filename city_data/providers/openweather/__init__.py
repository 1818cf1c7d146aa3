"""OpenWeather's History API: hourly weather of any place, by the week. https://openweathermap.org/history

Belongs here: its requests by the week, and its errors. Does not: HTTP, or the hours themselves (hours.py).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from city_data import environment
from city_data.providers.base import (
    Capabilities,
    Meaning,
    NotConfigured,
    NotYetPublished,
    ParsedMonth,
    Payload,
    PermanentError,
    Provider,
    ProviderError,
    Quota,
    RateLimit,
    Request,
    Settings,
    TransientError,
    about,
    no_data,
)
from city_data.providers.http import HttpClient
from city_data.providers.openweather.hours import (
    COLUMNS,
    HOUR,
    RAIN_RULE,
    by_hour,
    canonical_row,
    fields,
    items_of,
    json_object,
    missing,
    stamp_of,
    used_row,
    whole_hour,
)
from city_data.providers.shared.cells import count_nulled, refuse_spoilt_files
from city_data.providers.transport.response import Response, accept_ok, hiding, too_many_calls
from city_data.window import as_of

URL = "https://history.openweathermap.org/data/2.5/history/city"
# Both ends are included. Of a longer range the API silently sends the first week.
_LONGEST = timedelta(days=7) - HOUR
# A month is five answers if each covers its range; more than this many means that the API skips hours.
MOST_CALLS = 12
_CURIOUS = timedelta(days=3)


class _NoData(ProviderError):
    """The API has no data for the range, which is normal for a part of a month."""


class OpenWeather(Provider):
    name = "openweather"
    clock = "UTC"
    capabilities = Capabilities(
        dataset="weather",
        columns=COLUMNS,
        resolution="hourly",
        lag=timedelta(days=1),
        # Revisions are not documented; a week is given to them.
        settling=timedelta(days=7),
        # How far back history goes depends on the subscription.
        earliest=None,
        # The free allowance: what goes beyond a day's thousand calls is refused, or charged for. See `rate_limit`.
        rate_limit=RateLimit(calls=60, seconds=60, quotas=(Quota(calls=1_000, seconds=86_400),)),
        licence="Weather data provided by OpenWeather (CC BY-SA 4.0)",
        licence_url="https://openweathermap.org/",
        modelled=True,
        hosts=("history.openweathermap.org",),
        key_variable=environment.OPENWEATHER_API_KEY.name,
        meanings=Meaning.of_weather(
            COLUMNS,
            area="the city's centre",
            per="point",
            method="OpenWeather's model, its rain moved to the hour it fell",
        ),
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """One payload a week that has data, and one hour after the month, since rain is reported after it fell.

        Each request begins where the previous answer ended, not where that answer was supposed to end: after a short
        answer the missing hours are requested again.
        """
        with about(self.name, request):
            key = _key()
            start, end = request.month.bounds(request.location.timezone)
            if request.as_of <= start:
                raise NotYetPublished("the month has not begun")
            begin, last = whole_hour(start), min(whole_hour(end), whole_hour(request.as_of.astimezone(UTC)))
            payloads: list[Payload] = []
            for _ in range(MOST_CALLS):
                if begin > last:
                    break
                until = min(begin + _LONGEST, last)
                try:
                    payload, newest = self._week(request, http, into, key, begin, until)
                except _NoData:
                    begin = until + HOUR
                    continue
                payloads.append(payload)
                begin = newest + HOUR
            else:
                raise PermanentError(f"{MOST_CALLS} answers reached {begin:%Y-%m-%dT%H}Z only, of {last:%Y-%m-%dT%H}Z")
            if not payloads or self._count(payloads, request) == 0:
                why = "no hour of the month is available; how far back history goes depends on the subscription"
                raise no_data(request, self.capabilities, why)
            return payloads

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The hours of the local month that have any value.

        A row received is an item of a list. Items around the local month count as rejected, though the one after it
        has the rain of the month's last hour.
        """
        import pandas as pd

        with about(self.name, request):
            rejected: Counter[str] = Counter()
            answers = [(payload.name, items_of(payload.name, payload.path.read_bytes())) for payload in payloads]
            items = [item for _, answer in answers for item in answer]
            hours = by_hour(answers, rejected)
            start, end = request.month.bounds(request.location.timezone)
            # One more hour on either side is requested: see `fetch`.
            if hours and not any(start - HOUR <= hour <= end for hour in hours):
                raise PermanentError(f"the answer is of {min(hours)} to {max(hours)}, and no hour is of the month")
            inside = {hour: used_row(hour, hours) for hour in sorted(hours) if start <= hour < end}
            refuse_spoilt_files(inside.values())
            used = {hour: row for hour, row in inside.items() if any(cell.value is not None for cell in row.values())}
            rejected += Counter(outside_month=len(hours) - len(inside), no_value=len(inside) - len(used))
            rows = [canonical_row(hour, row) for hour, row in used.items()]
            frame = pd.DataFrame(rows, columns=pd.Index(["date", *COLUMNS, "raw_data"]))
            frame["date"] = pd.to_datetime(frame["date"], utc=True)
            frame["source"] = self.source(payloads)
            return ParsedMonth(
                frame,
                received=len(items),
                used=len(used),
                fields=fields(items),
                rejected=dict(rejected),
                nulled=dict(count_nulled(used.values())),
                provenance={"missing_hours": missing(hours), "precipitation": RAIN_RULE},
            )

    def rate_limit(self) -> RateLimit:
        a_minute = environment.OPENWEATHER_CALLS_A_MINUTE.whole_number("a number of calls from 1 to 100000", 1, 100_000)
        a_day = environment.OPENWEATHER_CALLS_A_DAY.whole_number("a number of calls, 1 or more", 1, 100_000_000)
        return RateLimit(calls=a_minute, seconds=60, quotas=(Quota(calls=a_day, seconds=86_400),))

    def calls(self, settings: Settings) -> int:  # noqa: ARG002
        return MOST_CALLS

    def check_connection(self, http: HttpClient) -> str:
        hour = whole_hour(as_of()) - _CURIOUS
        with suppress(_NoData):  # then the key was accepted, which this check is to prove
            self._call(http, _key(), {"lat": "40.4", "lon": "-3.7", **_span(hour, hour)})
        return "answers, and accepts the key"

    def _week(
        self, request: Request, http: HttpClient, into: Path, key: str, begin: datetime, until: datetime
    ) -> tuple[Payload, datetime]:
        """The answer for `begin` to `until`, both included, and its newest hour. Raises _NoData."""
        location = {"lat": str(request.location.latitude), "lon": str(request.location.longitude)}
        params = {**location, **_span(begin, until)}
        response = self._call(http, key, params)
        name = f"{begin:%Y-%m-%dT%H}Z.json"
        with hiding([key]):
            stamps = [stamp for item in items_of(name, response.body) if (stamp := stamp_of(item)) is not None]
        if not stamps:
            raise _NoData(f"no hour from {begin:%Y-%m-%dT%H}Z to {until:%Y-%m-%dT%H}Z")
        if min(stamps) < begin or max(stamps) > until:
            raise PermanentError(f"requested {begin} to {until}, the answer is of {min(stamps)} to {max(stamps)}")
        path = into / name
        path.write_bytes(response.body)
        payload = Payload(name, path, URL, params, "application/json", origin=response.origin)
        return payload, whole_hour(max(stamps))

    def _call(self, http: HttpClient, key: str, params: Mapping[str, str]) -> Response:
        query = {**params, "type": "hour", "units": "metric"}
        return http.get(URL, params=query, secret_params={"appid": key}, accept=_judge)

    def _count(self, payloads: Sequence[Payload], request: Request) -> int:
        return len(self.parse(request, payloads).frame)


def _key() -> str:
    key = environment.OPENWEATHER_API_KEY.get()
    if not key:
        raise NotConfigured(
            f"{environment.OPENWEATHER_API_KEY} is not set; keys and subscriptions are at https://openweathermap.org/price"
        )
    return key


def _span(begin: datetime, until: datetime) -> dict[str, str]:
    return {"start": str(int(begin.timestamp())), "end": str(int(until.timestamp()))}


def _judge(response: Response) -> None:
    """Errors are `{"cod": ..., "message": ...}`; `cod` is a string in this API and a number in others."""
    text = response.text("latin-1").strip()
    answer = json_object(response.body)
    code = response.status
    if code < 400 and re.fullmatch("[0-9]{3}", str(answer.get("cod", ""))):
        code = int(str(answer["cod"]))
    message = str(answer.get("message") or " ".join(text[:200].split()) or "an empty body")
    if code == 401:
        raise PermanentError(
            f"refused (401: {message}); check {environment.OPENWEATHER_API_KEY}, and that its account has a "
            "subscription to the History API"
        )
    if code == 404 and answer:  # the service's own error, not that of a proxy before it
        raise _NoData(f"404: {message}")
    if code == 429:
        raise too_many_calls(response, message)
    accept_ok(Response(code, response.headers, response.url, message.encode("latin-1", "replace")))
    accept_ok(response)  # as it is: a limit may be reported with 200
    if not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if not answer:
        raise TransientError(f"{response.url} did not answer a JSON object: {' '.join(text[:200].split())}")
