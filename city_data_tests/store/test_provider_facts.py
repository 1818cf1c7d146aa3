"""Facts of providers are stored as given, and written only where they have changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from city_data.store.database import Database
from city_data.store.provider_facts import ProviderFacts, read_providers, record_providers

FACTS = ProviderFacts(
    name="toytown",
    dataset="weather",
    resolution="hourly",
    columns=["temperature"],
    earliest=date(2020, 1, 1),
    forward_only=False,
    modelled=False,
    lag_days=2.5,
    settling_days=10,
    licence="© Toytown",
    licence_url="https://toytown.example/licence",
    meanings={"temperature": {"quantity": "air temperature", "method_version": 1, "comparable": True}},
)


def written_by(database: Database, name: str) -> object:
    """The transaction that wrote a row last."""
    with database.read() as connection:
        return connection.exec_driver_sql("SELECT xmin FROM provider WHERE name = %s", (name,)).scalar_one()


def test_facts_are_stored_and_updated_with_their_provider(database: Database) -> None:
    other = replace(FACTS, name="other", earliest=None, forward_only=True)
    record_providers(database, [FACTS, other])
    assert read_providers(database) == {"other": other, "toytown": FACTS}
    before = written_by(database, "other")
    record_providers(database, [replace(FACTS, licence="© Toytown 2027", earliest=None), other])
    assert read_providers(database)["toytown"] == replace(FACTS, licence="© Toytown 2027", earliest=None)
    assert written_by(database, "other") == before
    renamed = replace(FACTS, meanings={"temperature": {"quantity": "temperature of the soil"}})
    record_providers(database, [renamed])
    assert read_providers(database)["toytown"] == renamed
    record_providers(database, [])
    assert len(read_providers(database)) == 2
