"""A source's facts for the tests of every source: `source.json` beside its fixture.

Belongs here: reading them. Does not: any test, the fixtures themselves (cases.py), or cities (sandbox/asking.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from city_data.providers import discover
from city_data.strict_model import StrictModel
from city_data_tests.providers.wire import FIXTURES


class Question(StrictModel):
    """What a recorded file answers, where its name does not tell: a month, settings."""

    month: str | None = None
    settings: Mapping[str, Any] | None = None


class Spoilt(StrictModel):
    """A fault of the sandbox in the source's data, and words of the verdict on it."""

    fault: Mapping[str, Any]
    words: str


class SourceFacts(StrictModel):
    """`recorded`: its folder of recorded payloads. `data`, `first`: patterns of the path of its data, and of its first
    answer where that is another. `bad_values`: the fault that makes some of its values no numbers, or negative, where
    its data can be rewritten. `shifted`: its stamps by another clock; a source without it has stamps that cannot be.
    """

    recorded: str
    data: str
    first: str | None = None
    bad_values: Mapping[str, Any] | None = None
    questions: Mapping[str, Question] = {}
    shifted: Spoilt | None = None
    spoilt: tuple[Spoilt, ...]

    @property
    def first_path(self) -> str:
        return self.first or self.data


@cache
def facts_of(provider: str) -> SourceFacts:
    file = FIXTURES / provider / "source.json"
    assert file.is_file(), f"a provider needs facts for the tests of every source: there is no {file}"
    return SourceFacts.model_validate_json(file.read_bytes())


def any_answer_of(provider: str) -> str:
    """A pattern of every path of every host of a provider."""
    return f"^/({'|'.join(map(re.escape, discover()[provider].capabilities.hosts))})/"


def with_history() -> list[str]:
    """The providers that can be requested for a month: all but those of the present alone."""
    return [name for name, provider in discover().items() if not provider.capabilities.forward_only]
