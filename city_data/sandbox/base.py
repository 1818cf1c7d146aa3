"""The base class of a simulated source, and the discovery of its subclasses.

Belongs here: `Source`, its `Setting`, discovery. Does not: any one source's protocol, or serving (server.py).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from fastapi import APIRouter

from city_data.sandbox.publication import Publication
from city_data.window import Month

Size = Literal["small", "full"]


@dataclass(frozen=True)
class Setting:
    """`folder` stores generated files. `keys`: by a secret's variable, the only accepted key."""

    publication: Publication
    folder: Path
    size: Size = "small"
    keys: Mapping[str, str] = field(default_factory=dict)


class Source(ABC):
    """One source's wire, below `/<host>/`. A module of this package that defines a concrete subclass is served."""

    hosts: ClassVar[tuple[str, ...]]

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.publication = setting.publication

    @abstractmethod
    def router(self) -> APIRouter:
        """The simulated routes of the real service."""

    def file_path(self, month: Month) -> str | None:  # noqa: ARG002  for those that have files
        """The path of a month's file, for the fault that swaps months; None where the source has no such files."""
        return None


@cache
def discover() -> tuple[type[Source], ...]:
    """Every concrete `Source` in the modules of this package."""
    package = __name__.rpartition(".")[0]
    sources: list[type[Source]] = []
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package}.{info.name}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Source) and not inspect.isabstract(kind) and kind.__module__ == module.__name__:
                sources.append(kind)
    return tuple(sources)
