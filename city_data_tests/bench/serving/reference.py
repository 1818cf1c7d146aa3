"""The original plan's endpoint as it was written, and its cache path: ORM objects, a response model, JSON in Redis.

Run as a module with the database's and Redis's URLs and a port. Belongs here: that, and nothing to make it faster.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import redis
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class TrafficRow(Base):
    __tablename__ = "city_traffic_data"

    month: Mapped[datetime] = mapped_column(primary_key=True)
    city_id: Mapped[str] = mapped_column(primary_key=True)
    date: Mapped[datetime] = mapped_column(primary_key=True)
    traffic_volume: Mapped[float | None]
    pedestrian_count: Mapped[float | None]
    congestion_level: Mapped[str | None]
    average_speed: Mapped[float | None]
    source: Mapped[str]


class TrafficDataResponse(BaseModel):
    date: datetime
    traffic_volume: float | None
    pedestrian_count: float | None
    congestion_level: str | None
    average_speed: float | None
    source: str


def app(database_url: str, redis_url: str) -> FastAPI:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"), pool_size=8)
    store, made = redis.Redis.from_url(redis_url), FastAPI()

    def rows(city_id: str, start: datetime, end: datetime) -> list[TrafficDataResponse]:
        with Session(engine) as session:
            query = session.query(TrafficRow).filter(
                TrafficRow.city_id == city_id, TrafficRow.date >= start, TrafficRow.date < end
            )
            found = query.order_by(TrafficRow.date).all()
        return [
            TrafficDataResponse(**{name: getattr(row, name) for name in TrafficDataResponse.model_fields})
            for row in found
        ]

    @made.get("/plan", response_model=list[TrafficDataResponse])
    def plan(city_id: str, start: datetime, end: datetime) -> Any:
        return rows(city_id, start, end)

    @made.get("/cached", response_model=list[TrafficDataResponse])
    def cached(city_id: str, start: datetime, end: datetime) -> Any:
        key = f"traffic:{city_id}:{start}:{end}"
        held = store.get(key)
        if held is not None:
            return [TrafficDataResponse(**row) for row in json.loads(held)]  # type: ignore[arg-type]
        found = rows(city_id, start, end)
        store.set(key, json.dumps([row.model_dump(mode="json") for row in found]))
        return found

    return made


if __name__ == "__main__":
    uvicorn.run(app(sys.argv[1], sys.argv[2]), port=int(sys.argv[3]), access_log=False, log_level="warning")
