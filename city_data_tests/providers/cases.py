"""Fixtures of providers: a request, its payloads, and values that must come out.

Belongs here: reading a fixture's folder. Does not: any test.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from city_data.providers import discover
from city_data.providers.base import Location, ParsedMonth, Payload, Provider, Request
from city_data.window import Month

MADRID = {"city_id": "madrid", "latitude": 40.4168, "longitude": -3.7038, "timezone": "Europe/Madrid"}


@dataclass(frozen=True)
class Case:
    """A provider's fixture: `request.json` tells the request (of Madrid, where it names no `place`), the payload files,
    and some values that must come out."""

    provider: Provider
    folder: Path

    @property
    def told(self) -> dict[str, Any]:
        """The content of `request.json`."""
        file = self.folder / "request.json"
        assert file.is_file(), f"a provider needs fixtures: there is no {file}"
        return dict(json.loads(file.read_bytes()))

    @property
    def place(self) -> Location:
        return Location(**self.told.get("place", MADRID))

    @property
    def request(self) -> Request:
        settings = self.provider.settings_model.model_validate(self.told["settings"])
        as_of = datetime.fromisoformat(self.told["as_of"])
        return Request(self.place, Month.parse(self.told["month"]), settings, as_of)

    def payloads(self, origin: str | None = None) -> list[Payload]:
        names = self.told["payloads"]
        return [Payload(name, self.folder / name, "https://example.org/", origin=origin) for name in names]

    def parse(self, origin: str | None = None) -> ParsedMonth:
        return self.provider.parse(self.request, self.payloads(origin))


def cases(folder: Path) -> list[Case]:
    """Every fixture below a folder, by its name: a provider's, and behind a hyphen anything, such as a date."""
    names = sorted(path.parent.name for path in folder.glob("*/request.json"))
    return [Case(discover()[name.partition("-")[0]], folder / name) for name in names]
