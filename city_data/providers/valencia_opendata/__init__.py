"""Valencia's traffic loops: the city's map server has their present flow, and no history.
https://geoportal.valencia.es

Belongs here: the calls, the canonical frame. Does not: parsing answers (polls.py), the choice of readings (hours.py),
or the times of polls (operations/collector.py). The portal of the original plan
(valencia.opendatasoft.com) is gone.

`congestion_level` is NULL though the city publishes each segment's state (layer 192): that layer has no time of
measurement, so a frozen feed would look like calm streets, and its codes are not ordinal (3 closed, 4 no data,
5 to 8 the same for underpasses).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from city_data.providers.base import (
    Capabilities,
    CollectingProvider,
    Meaning,
    NoSnapshot,
    ParsedMonth,
    Payload,
    PermanentError,
    RateLimit,
    Request,
    Snapshot,
    about,
)
from city_data.providers.http import HttpClient
from city_data.providers.shared.city_hours import METHOD, METHOD_VERSION
from city_data.providers.shared.hour_frames import hour_frame, panel_details
from city_data.providers.transport.documents import read_json

if TYPE_CHECKING:
    import pandas as pd

    from city_data.providers.valencia_opendata.hours import CityHours

HOST = "geoportal.valencia.es"
LOOPS = f"https://{HOST}/server/rest/services/OPENDATA/Trafico/MapServer/208/query"
PAGE_ROWS = 2000  # the server's own limit
MOST_PAGES = 10
EVERYTHING = {"where": "1=1", "f": "json"}


class ValenciaOpenData(CollectingProvider):
    name = "valencia_opendata"
    sampled = "one poll of all loops"
    capabilities = Capabilities(
        dataset="traffic",
        columns=("traffic_volume",),
        resolution="hourly",
        # The last snapshot of a month exists when the month ends; readings come some minutes late.
        lag=timedelta(hours=1),
        settling=timedelta(hours=1),
        earliest=None,
        rate_limit=RateLimit(calls=30, seconds=60, spacing=1.0),
        licence="Origen de los datos: Ajuntament de València (CC BY 4.0)",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        modelled=False,
        hosts=(HOST,),
        forward_only=True,
        minimum_used_share=0.1,  # dead loops are listed in every answer, without a stamp
        meanings={
            "traffic_volume": Meaning(
                quantity="vehicles in an hour",
                area="city panel of traffic loops",
                per="loop",
                method=METHOD,
                method_version=METHOD_VERSION,
            )
        },
    )

    def poll(self, request: Request, http: HttpClient, into: Path) -> Snapshot:
        """All loops, page after page in one file. The pages are ordered: unordered ones of the live layer repeated 22
        rows of 400, and lacked 22."""
        from city_data.providers.valencia_opendata import polls as snapshots

        with about(self.name, request):
            bodies: list[bytes] = []
            rows: snapshots.Rows = []
            more, origin = True, None
            while more:
                if len(bodies) == MOST_PAGES:
                    raise PermanentError(f"the layer has more than {MOST_PAGES} pages")
                response = http.get(LOOPS, params=_query(len(rows)))
                page = snapshots.read_page(response.body)
                if not page.rows:
                    raise NoSnapshot("header_only", f"the answer has no loop from row {len(rows)} on")
                bodies.append(response.body)
                rows, more, origin = [*rows, *page.rows], page.more, response.origin
            body = b"\n".join(bodies)
            if sum(len(page.rows) for page in snapshots.pages(body)) != len(rows):
                raise NoSnapshot("not_archivable", "the joined pages cannot be parsed again")
            moments = snapshots.measured(rows)
            newest = snapshots.newest(moments, request.as_of)
            path = into / snapshots.name(request.as_of)
            path.write_bytes(body)
            payload = Payload(path.name, path, LOOPS, _query(0), "application/json", origin=origin)
            points = {snapshots.point_of(row) for row in rows}
            return Snapshot(payload, snapshots.mark(moments), newest, repeated=len(rows) - len(points))

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """City-hours of the month, from the first collected one to the last. The checks refuse a month without one."""
        from city_data.providers.valencia_opendata.hours import city_hours

        with about(self.name, request):
            result = city_hours(payloads, request.month, request.location.timezone)
            return ParsedMonth(
                _frame(result, request, self.source(payloads)),
                received=result.received,
                used=result.used,
                fields=result.fields,
                rejected=result.rejected,
                provenance={
                    "method_version": METHOD_VERSION,
                    "panel": result.hours.panel,
                    "points": result.points,
                    "snapshots": len(payloads),
                    "unreadable_snapshots": result.unreadable,
                },
            )

    def check_connection(self, http: HttpClient) -> str:
        response = http.get(LOOPS, params={**EVERYTHING, "returnCountOnly": "true"})
        try:
            count = int(read_json(response.body)["count"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            excerpt = " ".join(response.body[:200].decode("latin-1").split())
            raise PermanentError(f"{self.name}: {LOOPS} did not answer a count of loops but {excerpt!r}") from error
        return f"answers, no key needed; {count} loops, present values only"


def _query(offset: int) -> dict[str, str]:
    from city_data.providers.valencia_opendata.polls import FIELDS, POINT

    page = {"resultOffset": str(offset), "resultRecordCount": str(PAGE_ROWS), "orderByFields": POINT}
    return {**EVERYTHING, "outFields": ",".join(FIELDS), "returnGeometry": "false", **page}


def _frame(result: CityHours, request: Request, source: str) -> pd.DataFrame:
    hours = result.hours
    details = panel_details(hours.coverage, hours.stations, METHOD_VERSION)
    return hour_frame(request, source, {"traffic_volume": hours.volume}, details, result.first)
