"""Response bodies: from a plan to bytes and headers."""
