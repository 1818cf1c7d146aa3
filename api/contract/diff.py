"""Breaking changes of the API. Belongs here: comparing two OpenAPI documents. Does not: rendering one (document.py).

Callers rely on `openapi.released.json`. It covers everything this code documents, since a route missing in it could
change unnoticed. `python -m api.contract.diff --add` adds new parts to it, and writes nothing while anything breaks; to
break it on purpose, run `python -m api.contract.diff --accept`. A response may gain fields but not lose any; a request
may gain options but not lose any.
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
Direction = Literal["request", "response"]
_LOWEST = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_HIGHEST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def breaks(old: Json, new: Json) -> list[str]:
    """The changes from `old` to `new` that break a caller, one line each, with the location in the document."""
    lines: list[str] = []
    for path, methods in old["paths"].items():
        for method, operation in methods.items():
            label = f"{method.upper()} {path}"
            current = new["paths"].get(path, {}).get(method)
            if current is None:
                lines.append(f"{label} is gone")
            else:
                lines += (f"{label}: {line}" for line in _Comparison(old, new).operation(operation, current))
    return lines


def uncovered(old: Json, new: Json) -> list[str]:
    """The parts of `new` missing in `old`, whose removal nothing would notice: one line each, with the location."""
    return [f"not in the released document: {line.removesuffix(' is gone')}" for line in breaks(new, old)]


class _Comparison:
    """Schemas of two documents side by side; each pair of references is followed once."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new
        self._followed: set[tuple[str, str, Direction]] = set()

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
            yield from self._contents(answer, current, f"answer {status}", "response")

    def _parameters(self, old: list[Json], new: list[Json]) -> Iterator[str]:
        before, after = ({(p["in"], p["name"]): p for p in listed} for listed in (old, new))
        for key in before.keys() | after.keys():
            name = f"parameter {key[1]}"
            if key not in after:
                yield f"{name} is gone"
            elif after[key].get("required") and not before.get(key, {}).get("required"):
                yield f"{name} is needed now"
            elif key in before:
                yield from self._schema(before[key]["schema"], after[key]["schema"], name, "request")

    def _body(self, old: Json, new: Json) -> Iterator[str]:
        if new.get("required") and not old.get("required"):
            yield "a body is needed now"
        yield from self._contents(old, new, "body", "request")

    def _contents(self, old: Json, new: Json, label: str, direction: Direction) -> Iterator[str]:
        for kind, content in old.get("content", {}).items():
            if kind not in new.get("content", {}):
                yield f"{label} as {kind} is gone"
            else:
                yield from self._schema(
                    content.get("schema", {}), new["content"][kind].get("schema", {}), label, direction
                )

    def _schema(self, old: Json, new: Json, label: str, direction: Direction) -> Iterator[str]:
        pair = (old.get("$ref", ""), new.get("$ref", ""), direction)
        if all(pair):
            if pair in self._followed:
                return
            self._followed.add(pair)
        before, after = _kinds(old, self._old), _kinds(new, self._new)
        if direction == "response":
            yield from (f"{label} may be {kind} now" for kind in sorted(after.keys() - before.keys()))
        else:
            yield from (f"{label} may not be {kind} any more" for kind in sorted(before.keys() - after.keys()))
        for kind in sorted(before.keys() & after.keys()):
            yield from self._values(before[kind], after[kind], label, direction)
            yield from self._inside(before[kind], after[kind], label, direction)

    def _values(self, old: Json, new: Json, label: str, direction: Direction) -> Iterator[str]:
        if old.get("format") != new.get("format"):
            yield f"{label} is {new.get('format') or 'free text'}, not {old.get('format') or 'free text'}"
        listed, current = _listed(old), _listed(new)
        lost, added = (listed or set()) - (current or set()), (current or set()) - (listed or set())
        if direction == "response" and listed is not None and (current is None or added):
            yield f"{label} may be {', '.join(sorted(added)) or 'anything'} now"
        if direction == "request":
            if current is not None and (listed is None or lost):
                yield f"{label} may not be {', '.join(sorted(lost)) or 'anything'} any more"
            for names, tighter in ((_LOWEST, float.__gt__), (_HIGHEST, float.__lt__)):
                yield from (f"{label}: {name} is tighter" for name in names if _tighter(old, new, name, tighter))

    def _inside(self, old: Json, new: Json, label: str, direction: Direction) -> Iterator[str]:
        if "items" in old:
            yield from self._schema(old["items"], new.get("items", {}), f"{label}[]", direction)
        before, after = old.get("properties", {}), new.get("properties", {})
        was, needed = set(old.get("required", [])), set(new.get("required", []))
        for name in before:
            field = f"{label}.{name}"
            if name not in after:
                yield f"{field} is gone"
                continue
            if direction == "response" and name in was - needed:
                yield f"{field} may be left out now"
            yield from self._schema(before[name], after[name], field, direction)
        if direction == "request":
            yield from (f"{label}.{name} is needed now" for name in sorted(needed - was))


def _kinds(schema: Json, document: Json) -> dict[str, Json]:
    """The schema by JSON type, with `anyOf` and references resolved. A schema without a type is of kind `anything`."""
    if "$ref" in schema:
        node: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        return _kinds(node, document)
    if "anyOf" in schema:
        kinds: dict[str, Json] = {}
        for option in schema["anyOf"]:  # two options of one type are kept apart, so that both are compared
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
    """Exit code 1 and a line for each breaking change, or for each part missing in the released document."""
    text = document.render()
    released, new = json.loads(RELEASED.read_text(encoding="utf-8")), json.loads(text)
    lines = breaks(released, new)
    if arguments == ["--accept"] or (arguments == ["--add"] and not lines):
        RELEASED.write_text(text, encoding="utf-8")
        return 0
    lines = lines or uncovered(released, new)
    for line in lines:
        print(line)  # noqa: T201  a command's answer
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
