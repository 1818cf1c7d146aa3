"""From a plan to bytes, and how they travel."""
