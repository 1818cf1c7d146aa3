"""The contract: responses match the OpenAPI document, and breaking changes are noticed."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from api.app import create_app
from api.contract import diff, document
from api.routes.frame_parameters import frame_record
from api.routes.schemas import record_model
from api.settings import Settings
from city_data.columns import Column
from city_data.datasets import DATASETS
from city_data.local.embedded import EmbeddedPostgres
from city_data.pipeline.feeds import record_providers
from city_data.providers import discover
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data_tests.api.conftest import month_load
from city_data_tests.api.issuer import AUDIENCE, ISSUER, TENANT_A, Issuer, bearer, key_set
from city_data_tests.api.sockets import serving

DOCUMENT: dict[str, Any] = json.loads(document.render())
OWN = Issuer()
# Of each route, in both modes of generation: valid and invalid requests.
EXAMPLES = int(os.environ.get("CITY_DATA_TEST_EXAMPLES", "25"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA.config.generation.update(deterministic=True)


def test_committed_document_is_current() -> None:
    assert document.FILE.read_text(encoding="utf-8") == document.render(), "run `make contract`"
    for name, dataset in DATASETS.items():
        usual, named = (fields(DOCUMENT, f"{name.capitalize()}{kind}") for kind in ("Record", "Selection"))
        for column in dataset.columns:
            assert (column.unit or "") in named[column.name]["description"]
            assert (column.name in usual) is not column.on_request


def test_released_document_is_not_broken() -> None:
    released = json.loads(diff.RELEASED.read_text(encoding="utf-8"))
    assert diff.breaks(released, DOCUMENT) == [], "if it is meant, run `python -m api.contract.diff --accept`"


def test_the_released_document_covers_all_that_this_code_documents() -> None:
    """A route or field missing in it could change without a failing test."""
    released = json.loads(diff.RELEASED.read_text(encoding="utf-8"))
    assert diff.uncovered(released, DOCUMENT) == [], "run `python -m api.contract.diff --add`"
    assert released["paths"].keys() == DOCUMENT["paths"].keys()


def conforms(example: Any, column: Column) -> bool:
    if column.kind in ("text", "flag"):
        return type(example) is {"text": str, "flag": bool}[column.kind] and example in (column.allowed or [example])
    low, high = (-inf if column.low is None else column.low), (inf if column.high is None else column.high)
    return isinstance(example, float | int) and not isinstance(example, bool) and low <= example <= high


def test_examples_of_values_have_their_columns_kind_and_range() -> None:
    for name, dataset in DATASETS.items():
        for record in (f"{name.capitalize()}Record", "TrainingRecord"):
            for column in [column for column in dataset.columns if column.name in fields(DOCUMENT, record)]:
                (example,) = fields(DOCUMENT, record)[column.name]["examples"]
                assert conforms(example, column), (record, column.name)
    for name, field in fields(DOCUMENT, "TrainingRecord").items():
        kinds = {one["type"] for one in field.get("anyOf", [field])} - {"null"}
        python = {"string": str, "number": float, "integer": int, "boolean": bool}[kinds.pop()]
        assert type(field["examples"][0]) is python, name


@pytest.mark.parametrize(
    "column",
    [
        Column("noise", "number", "dB", "Noise", 20, 150),
        Column("noise", "number", "dB", "Noise", low=5),
        Column("noise", "number", "dB", "Noise", high=-5),
        Column("noise", "number", "dB", "Noise"),
        Column("road_state", "text", None, "State", allowed=("open", "closed")),
        Column("road_state", "text", None, "State"),
    ],
)
def test_new_column_gets_a_generated_example(column: Column, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = replace(DATASETS["traffic"], columns=(*DATASETS["traffic"].columns, column))
    monkeypatch.setitem(DATASETS, "traffic", dataset)
    for model in (record_model("TrafficRecord", dataset, {}, {}), frame_record()):
        (example,) = model.model_json_schema()["properties"][column.name]["examples"]
        assert conforms(example, column)


def test_every_route_documents_its_errors_and_every_field_has_a_description() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert operation["responses"].keys() >= {"200", "400", "408", "413", "431"}
            if path.startswith("/health/"):
                continue
            assert operation["responses"].keys() >= {"401", "429", "503"}, path
            assert operation["security"] == [{"bearer": []}]
            assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
            assert "Retry-After" in operation["responses"]["429"]["headers"]
    for record in ("WeatherRecord", "TrafficRecord", "CityInfoResponse", "MonthInfo", "DataAvailabilityResponse"):
        for name, field in DOCUMENT["components"]["schemas"][record]["properties"].items():
            assert field.get("description") or field.get("$ref"), f"{record}.{name}"
            assert field.get("examples") or "$ref" in json.dumps(field), f"{record}.{name}"


Change = Callable[[dict[str, Any]], None]
AVAILABILITY = "/api/v1/cities/{city_id}/data-availability"
WEATHER = "/api/v1/tenants/{tenant_id}/external/historical-weather"
POST = "/api/v1/tenants/{tenant_id}/external/operations/weather/historical"


def fields(document: dict[str, Any], name: str) -> dict[str, Any]:
    return document["components"]["schemas"][name]["properties"]  # type: ignore[no-any-return]


def rename_field(document: dict[str, Any]) -> None:
    record = document["components"]["schemas"]["TrafficRecord"]
    record["properties"]["volume"] = record["properties"].pop("traffic_volume")
    record["required"] = ["volume" if name == "traffic_volume" else name for name in record["required"]]


def parameter(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(p for p in document["paths"][WEATHER]["get"]["parameters"] if p["name"] == name)


LEFT_OUT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a route": (lambda d: d["paths"].pop(AVAILABILITY), f"GET {AVAILABILITY}"),
    "a method": (lambda d: d["paths"][WEATHER].pop("get"), f"GET {WEATHER}"),
    "a field": (lambda d: fields(d, "TrainingRecord").pop("temperature"), "answer 200[].temperature"),
    "a parameter": (
        lambda d: d["paths"][WEATHER]["get"]["parameters"].remove(parameter(d, "include")),
        "parameter include",
    ),
    "a header": (lambda d: d["paths"][WEATHER]["get"]["responses"]["200"]["headers"].pop("ETag"), "header ETag of 200"),
    "a status": (lambda d: d["paths"][WEATHER]["get"]["responses"].pop("410"), "answer 410"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_parts_missing_in_the_released_document_are_listed(name: str) -> None:
    leave_out, line_end = LEFT_OUT[name]
    released = copy.deepcopy(DOCUMENT)
    leave_out(released)
    assert any(line.endswith(line_end) for line in diff.uncovered(released, DOCUMENT))
    assert diff.breaks(released, DOCUMENT) == []


BREAKING: dict[str, tuple[Change, str]] = {
    "a field renamed": (rename_field, "answer 200[].traffic_volume is gone"),
    "a route gone": (lambda d: d["paths"].pop(AVAILABILITY), f"GET {AVAILABILITY} is gone"),
    "a status gone": (lambda d: d["paths"][WEATHER]["get"]["responses"].pop("304"), "answer 304 is gone"),
    "a header gone": (
        lambda d: d["paths"][WEATHER]["get"]["responses"]["200"]["headers"].pop("X-Coverage"),
        "header X-Coverage of 200 is gone",
    ),
    "a type changed": (
        lambda d: fields(d, "CityInfoResponse")["radius_km"].update(type="string"),
        "answer 200[].radius_km may be string now",
    ),
    "a field that may be null": (
        lambda d: fields(d, "CityInfoResponse").update(name={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        "answer 200[].name may be null now",
    ),
    "a field that may be left out": (
        lambda d: d["components"]["schemas"]["CityInfoResponse"]["required"].remove("name"),
        "answer 200[].name may be left out now",
    ),
    "a state more": (
        lambda d: fields(d, "MonthInfo")["state"]["enum"].append("lost"),
        "[].state may be lost now",
    ),
    "a format changed": (
        lambda d: fields(d, "WeatherRecord")["date"].update(format="date"),
        "answer 200[].date is date, not date-time",
    ),
    "a parameter gone": (
        lambda d: d["paths"][WEATHER]["get"]["parameters"].remove(parameter(d, "latitude")),
        "parameter latitude is gone",
    ),
    "a parameter needed": (
        lambda d: parameter(d, "latitude").update(required=True),
        "parameter latitude is needed now",
    ),
    "a parameter narrowed": (
        lambda d: parameter(d, "start_date")["schema"].update(maxLength=10),
        "parameter start_date: maxLength is tighter",
    ),
    "a body's field gone": (
        lambda d: fields(d, "HistoricalRequest").pop("latitude"),
        "body.latitude is gone",
    ),
    "a body's field needed": (
        lambda d: d["components"]["schemas"]["HistoricalRequest"]["required"].append("latitude"),
        "body.latitude is needed now",
    ),
    "a lock": (
        lambda d: d["paths"]["/health/live"]["get"].update(security=[{"bearer": []}]),
        "GET /health/live: needs a token now",
    ),
}


@pytest.mark.parametrize("name", BREAKING)
def test_breaking_change_is_listed(name: str) -> None:
    change, line_end = BREAKING[name]
    changed = copy.deepcopy(DOCUMENT)
    change(changed)
    assert any(line.endswith(line_end) for line in diff.breaks(DOCUMENT, changed)), diff.breaks(DOCUMENT, changed)


def test_addition_is_not_a_breaking_change() -> None:
    more = copy.deepcopy(DOCUMENT)
    more["paths"]["/new"] = {"get": {"responses": {"200": {"description": ""}}}}
    fields(more, "TrafficRecord")["noise"] = {"type": "number"}
    more["paths"][WEATHER]["get"]["parameters"].append({"in": "query", "name": "units", "schema": {"type": "string"}})
    more["paths"][WEATHER]["get"]["responses"]["451"] = {"description": ""}
    fields(more, "HistoricalRequest")["units"] = {"type": "string"}
    assert diff.breaks(DOCUMENT, more) == []
    assert diff.breaks(DOCUMENT, DOCUMENT) == []
    assert diff.breaks(more, DOCUMENT)


def test_command_prints_breaking_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diff, "RELEASED", tmp_path / "released.json")
    diff.RELEASED.write_text(json.dumps(DOCUMENT))
    assert (diff.main(["--accept"]), diff.main([])) == (0, 0)
    old = copy.deepcopy(DOCUMENT)
    old["paths"]["/old"] = {"get": {"responses": {}}}
    diff.RELEASED.write_text(json.dumps(old))
    for arguments in ([], ["--add"]):
        assert diff.main(arguments) == 1
        assert capsys.readouterr().out == "GET /old is gone\n"
    del old["paths"]["/old"], old["paths"][WEATHER]
    diff.RELEASED.write_text(json.dumps(old))
    assert diff.main([]) == 1
    assert capsys.readouterr().out == f"not in the released document: GET {WEATHER}\n"
    assert (diff.main(["--add"]), diff.main([])) == (0, 0)


@pytest.fixture(scope="module")
def url(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The reader with authentication, over a database with one month."""
    postgres.create_database("contract", template="template_city_data")
    database = Database(postgres.url("contract"))
    for name in DATASETS:
        replace_month(database, month_load(name, "2026-10"))
    record_providers(database, discover().values())
    database.dispose()
    keys = tmp_path_factory.mktemp("keys") / "jwks.json"
    keys.write_bytes(key_set(OWN))
    known = {"database_url": postgres.url("contract"), "auth_jwks_file": keys, "api_rate_per_s": 0}
    app = create_app(Settings.model_validate(known | {"auth_jwt_issuer": ISSUER, "auth_jwt_audience": AUDIENCE}))
    with serving(app, most=100, lifespan=True) as port:
        yield f"http://127.0.0.1:{port}"


CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@SCHEMA.parametrize()
@hypothesis.settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_every_response_is_documented_and_none_is_a_5xx(case: Case, url: str) -> None:
    if "tenant_id" in case.path_parameters and len(str(case.path_parameters["tenant_id"])) == 36:
        case.path_parameters["tenant_id"] = TENANT_A
    case.call_and_validate(base_url=url, headers=bearer(OWN.token()), checks=CHECKS)


def test_the_examples_of_the_document_are_answered_with_records(url: str) -> None:
    for path, methods in DOCUMENT["paths"].items():
        if "{tenant_id}" not in path or "get" not in methods:
            continue
        examples = {p["name"]: p["schema"].get("examples", [None])[0] for p in methods["get"]["parameters"]}
        query = {n: examples[n] for n in ("latitude", "longitude", "start_date", "end_date", "days") if n in examples}
        response = httpx.get(url + path.format(tenant_id=TENANT_A), params=query, headers=bearer(OWN.token()))
        assert response.status_code == 200, response.text
        assert len(response.json()) >= query.get("days", 31), path
