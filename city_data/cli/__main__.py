"""`python -m city_data.cli`, the same as `city-data`."""

from city_data.cli import main

main()
