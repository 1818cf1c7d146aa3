"""city_data: shared, trustworthy history of weather and traffic, one month of one city at a time."""
