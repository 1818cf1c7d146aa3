"""`python -m city_data.cli`, the same as `city-data`."""

from city_data.cli import main

if __name__ == "__main__":
    main()
