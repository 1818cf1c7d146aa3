"""The base of every document that people or programs write for the platform: unknown keys are errors.

Belongs here: the model's configuration, and the words for a wrong value. Does not: any document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import pydantic


class StrictModel(pydantic.BaseModel):
    """Immutable once it is read, so that it can be a key of what is computed from it."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def problems(error: pydantic.ValidationError, document: type[pydantic.BaseModel], keys: str = "keys") -> str:
    """Every wrong value of a YAML document, with its place and what to write instead; `keys` is the writer's word."""
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'entry'}: {_words(one, document, keys)}" for one in error.errors()
    )


def _words(problem: Mapping[str, Any], document: type[pydantic.BaseModel], keys: str) -> str:
    kind, value, location = problem["type"], problem["input"], problem["loc"]
    message: str = problem["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"{message} (known {keys}: {_listed(_model_at(document, location[:-1]))})"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f"YAML reads this as {value}, not as text: put it in quotes"
    if kind == "model_type":
        return f"{value!r} stands where keys are expected: {_listed(_model_at(document, location))}"
    if kind == "tuple_type":
        return f"{value!r} stands where a list is expected, such as [{value}]"
    if kind == "string_pattern_mismatch":
        *path, name = (part for part in location if isinstance(part, str))
        described = _model_at(document, path).model_fields[name].description
        return f"{value!r} is not {described}" if described else message
    return message


def _listed(model: type[pydantic.BaseModel]) -> str:
    return ", ".join(model.model_fields) or "none"


def _model_at(document: type[pydantic.BaseModel], location: Sequence[int | str]) -> type[pydantic.BaseModel]:
    """The model at a location such as local_holidays.days.0."""
    model = document
    for key in (part for part in location if isinstance(part, str)):
        model = next(_models(model.model_fields[key].annotation))
    return model


def _models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """The models within an annotation such as `tuple[Model, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
