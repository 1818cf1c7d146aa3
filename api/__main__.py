"""`python -m api` serves the reader. Belongs here: the server's own settings. Does not: the application (app.py)."""

from __future__ import annotations

import sys

import pydantic
import uvicorn

from api.app import create_app
from api.observe import configure_logging
from api.settings import Settings, problems
from city_data.cities import RegistryError

IDLE_S, STOPPING_S = 5, 10


def main() -> int:
    """Serve until SIGINT or SIGTERM. Exit code 2, with what is wrong, for settings that cannot be used."""
    configure_logging()
    try:
        settings = Settings()
        app = create_app(settings)
    except pydantic.ValidationError as error:
        print(problems(error), file=sys.stderr)  # noqa: T201  there is no log yet
        return 2
    except RegistryError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=STOPPING_S,
        limit_concurrency=settings.api_connections,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
