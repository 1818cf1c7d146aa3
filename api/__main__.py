"""`python -m api` serves the reader. Belongs here: from settings to servers. Does not: the application (app.py)."""

from __future__ import annotations

import sys

import prometheus_client
import pydantic

from city_data.errors import CityDataError
from city_data.extras import MissingExtra, require

_SCRAPERS = 64


def main() -> int:
    """Serve until SIGINT or SIGTERM. Exit code 2 and a message for invalid settings."""
    try:
        require("reader")
    except MissingExtra as error:
        print(error, file=sys.stderr)  # noqa: T201  logging is not configured yet
        return 2
    return _serve()


def _serve() -> int:
    from api.app import create_app
    from api.observability import configure_logging
    from api.settings import Settings, problems
    from api.transport import protocol
    from api.transport.process_memory import keep_small, settle

    keep_small()
    configure_logging()
    try:
        settings = Settings()
        app = create_app(settings)
    except (pydantic.ValidationError, CityDataError) as error:
        print(problems(error), file=sys.stderr)  # noqa: T201
        return 2
    settle()
    metrics = None
    if settings.api_metrics_port is not None:
        exposed = prometheus_client.make_asgi_app(app.state.metrics.registry)
        metrics = protocol.config(exposed, settings.api_host, settings.api_metrics_port, _SCRAPERS, lifespan=False)
    main_port = protocol.config(app, settings.api_host, settings.api_port, settings.api_connections)
    protocol.run(main_port, metrics, settings.api_drain_s)
    return 0


if __name__ == "__main__":
    sys.exit(main())
