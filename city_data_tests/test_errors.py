"""Every exception that the product raises on purpose has one root."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import api
import city_data
from city_data.errors import CityDataError, nearest, unknown


def modules() -> Iterator[str]:
    for package in (city_data, api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Alembic alone loads migrations; the clients are packages of their own.
            if not module.name.startswith(("city_data.store.migrations", "api.clients")):
                yield module.name


def test_every_exception_class_derives_from_the_root() -> None:
    own = {
        kind
        for name in modules()
        for _, kind in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if issubclass(kind, BaseException) and kind.__module__.startswith(("city_data.", "api."))
    }
    assert len(own) > 20
    # A stop that a signal requests is no failure: nothing may handle it as one.
    failures = [kind for kind in own if not issubclass(kind, KeyboardInterrupt)]
    assert [f"{kind.__module__}.{kind.__name__}" for kind in failures if not issubclass(kind, CityDataError)] == []


def test_unknown_name_suggests_a_close_one_without_regard_to_case() -> None:
    known = ["Madrid", "valencia"]
    assert unknown("city", "MADIRD", known) == "unknown city 'MADIRD'; did you mean Madrid? known: Madrid, valencia"
    assert unknown("city", "oslo", known) == "unknown city 'oslo'; known: Madrid, valencia"
    assert unknown("city", "mad", known) == "unknown city 'mad'; did you mean Madrid? known: Madrid, valencia"
    assert nearest("end", ["end_date", "start_date"]) == "end_date"
    assert nearest("end", ["end_date", "end_time"]) is None
    assert unknown("city", "oslo", []) == "unknown city 'oslo'; known: none"
