"""What may not change under callers' feet. Belongs here: what a change of the document breaks. Does not: the document.

`openapi.released.json` is what callers rely on, and covers all that this code documents: a route that is not in it
could change unnoticed. What was added goes into it by `python -m api.contract.diff --add`, which writes nothing while
anything breaks; to break it on purpose, run `python -m api.contract.diff --accept`.
An answer may say more, never less; a question may be asked in more ways, never in fewer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from api.contract import document

RELEASED = Path(__file__).with_name("openapi.released.json")
Json = Mapping[str, Any]
Way = Literal["asked", "answered"]
_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def breaks(old: Json, new: Json) -> list[str]:
    """What a caller of `old` would meet as broken in `new`, one line each, with its place."""
    found: list[str] = []
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            place = f"{method.upper()} {path}"
            current = new["paths"].get(path, {}).get(method)
            if current is None:
                found.append(f"{place} is gone")
            else:
                found += (f"{place}: {line}" for line in _Comparison(old, new).operation(operation, current))
    return found


def uncovered(old: Json, new: Json) -> list[str]:
    """What `new` has and `old` does not, so that nothing would notice its end, one line each, with its place."""
    return [f"not in the released document: {line.removesuffix(' is gone')}" for line in breaks(new, old)]


class _Comparison:
    """Schemas of two documents side by side; each pair of references is followed once."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new
        self._followed: set[tuple[str, str, Way]] = set()

    def operation(self, old: Json, new: Json) -> Iterator[str]:
        if new.get("security") and not old.get("security"):
            yield "needs a token now"
        yield from self._parameters(old.get("parameters", []), new.get("parameters", []))
        yield from self._body(old.get("requestBody", {}), new.get("requestBody", {}))
        for status, answer in old["responses"].items():
            current = new["responses"].get(status)
            if current is None:
                yield f"answer {status} is gone"
                continue
            gone = set(answer.get("headers", {})) - set(current.get("headers", {}))
            yield from (f"header {name} of {status} is gone" for name in sorted(gone))
            yield from self._contents(answer, current, f"answer {status}", "answered")

    def _parameters(self, old: list[Json], new: list[Json]) -> Iterator[str]:
        before, after = ({(p["in"], p["name"]): p for p in listed} for listed in (old, new))
        for key in before.keys() | after.keys():
            name = f"parameter {key[1]}"
            if key not in after:
                yield f"{name} is gone"
            elif after[key].get("required") and not before.get(key, {}).get("required"):
                yield f"{name} is needed now"
            elif key in before:
                yield from self._schema(before[key]["schema"], after[key]["schema"], name, "asked")

    def _body(self, old: Json, new: Json) -> Iterator[str]:
        if new.get("required") and not old.get("required"):
            yield "a body is needed now"
        yield from self._contents(old, new, "body", "asked")

    def _contents(self, old: Json, new: Json, place: str, way: Way) -> Iterator[str]:
        for kind, content in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{place} as {kind} is gone"
            else:
                yield from self._schema(content.get("schema", {}), new["content"][kind].get("schema", {}), place, way)

    def _schema(self, old: Json, new: Json, place: str, way: Way) -> Iterator[str]:
        pair = (old.get("$ref", ""), new.get("$ref", ""), way)
        if all(pair):
            if pair in self._followed:
                return
            self._followed.add(pair)
        before, after = _kinds(old, self._old), _kinds(new, self._new)
        if way == "answered":
            yield from (f"{place} may be {kind} now" for kind in sorted(after.keys() - before.keys()))
        else:
            yield from (f"{place} may not be {kind} any more" for kind in sorted(before.keys() - after.keys()))
        for kind in sorted(before.keys() & after.keys()):
            yield from self._values(before[kind], after[kind], place, way)
            yield from self._inside(before[kind], after[kind], place, way)

    def _values(self, old: Json, new: Json, place: str, way: Way) -> Iterator[str]:
        if old.get("format") != new.get("format"):
            yield f"{place} is {new.get('format') or 'free text'}, not {old.get('format') or 'free text'}"
        listed, current = _listed(old), _listed(new)
        lost, added = (listed or set()) - (current or set()), (current or set()) - (listed or set())
        if way == "answered" and listed is not None and (current is None or added):
            yield f"{place} may be {', '.join(sorted(added)) or 'anything'} now"
        if way == "asked":
            if current is not None and (listed is None or lost):
                yield f"{place} may not be {', '.join(sorted(lost)) or 'anything'} any more"
            for names, tighter in ((_LOWEST, float.__gt__), (_HIGHEST, float.__lt__)):
                yield from (f"{place}: {name} is tighter" for name in names if _tighter(old, new, name, tighter))

    def _inside(self, old: Json, new: Json, place: str, way: Way) -> Iterator[str]:
        if "items" in old:
            yield from self._schema(old["items"], new.get("items", {}), f"{place}[]", way)
        before, after = old.get("properties", {}), new.get("properties", {})
        was, needed = set(old.get("required", [])), set(new.get("required", []))
        for name in before:
            field = f"{place}.{name}"
            if name not in after:
                yield f"{field} is gone"
                continue
            if way == "answered" and name in was - needed:
                yield f"{field} may be left out now"
            yield from self._schema(before[name], after[name], field, way)
        if way == "asked":
            yield from (f"{place}.{name} is needed now" for name in sorted(needed - was))


def _kinds(schema: Json, document: Json) -> dict[str, Json]:
    """The schema by JSON type: `anyOf` and references opened. A schema that says nothing is of kind `anything`."""
    if "$ref" in schema:
        found: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return _kinds(found, document)
    if "anyOf" in schema:
        kinds: dict[str, Json] = {}
        for option in schema["anyOf"]:  # two of one type are two shapes, of which neither hides the other
            for kind, inner in _kinds(option, document).items():
                kinds[f"another {kind}" if kind in kinds else kind] = inner
        return kinds
    return {schema.get("type", "anything"): schema}


def _listed(schema: Json) -> set[str] | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return None if values is None else set(map(str, values))


def _tighter(old: Json, new: Json, name: str, tighter: Callable[[float, float], bool]) -> bool:
    return name in new and (name not in old or tighter(float(new[name]), float(old[name])))


def main(arguments: list[str]) -> int:
    """Exit code 1, with a line each, where callers of the released document would break or it does not cover all."""
    text = document.render()
    released, new = json.loads(RELEASED.read_text(encoding="utf-8")), json.loads(text)
    found = breaks(released, new)
    if arguments == ["--accept"] or (arguments == ["--add"] and not found):
        RELEASED.write_text(text, encoding="utf-8")
        return 0
    found = found or uncovered(released, new)
    for line in found:
        print(line)  # noqa: T201  a command's answer
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
