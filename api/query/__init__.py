"""From a request to a plan: city, interval, representation, versions."""
