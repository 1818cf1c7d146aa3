"""Local clock times against the real hours of a month, for sources that stamp rows in local time without an offset.

Belongs here: faces and slots of a month. Does not: the order of two rows in a doubled hour, which each source's method
decides by its own evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from city_data.window import Month


@dataclass(frozen=True)
class Clock:
    """The hours that exist in a month. A slot is an hour's index among them; a face is the local clock time in hours
    since the month began: one face has no slot in spring, one has two in autumn."""

    faces: list[int]
    week_hours: list[int]

    @classmethod
    def of(cls, month: Month, timezone: str) -> Clock:
        local = [stamp.astimezone(ZoneInfo(timezone)) for stamp in month.hours(timezone)]
        return cls([(t.day - 1) * 24 + t.hour for t in local], [t.weekday() * 24 + t.hour for t in local])

    @property
    def doubled(self) -> list[int]:
        return [face for face, following in zip(self.faces, self.faces[1:], strict=False) if face == following]

    @property
    def first_slots(self) -> dict[int, int]:
        return {face: slot for slot, face in reversed(list(enumerate(self.faces)))}
