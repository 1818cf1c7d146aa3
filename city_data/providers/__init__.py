"""Discovery of the providers: every module of this package is searched, so no list needs editing.

Belongs here: discovery. Does not: any provider (a module of its own), or the contract (base.py).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache

from city_data.providers.base import Provider


@cache
def discover() -> dict[str, Provider]:
    """Every concrete `Provider` in the modules of this package, by name, sorted."""
    providers: dict[str, Provider] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Provider) and not inspect.isabstract(kind) and kind.__module__ == module.__name__:
                if kind.name in providers:
                    raise ValueError(f"two providers are named {kind.name!r}: {kind} and {type(providers[kind.name])}")
                providers[kind.name] = kind()
    return dict(sorted(providers.items()))
