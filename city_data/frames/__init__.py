"""Pure pandas on canonical frames: shape, days of hours, coverage, checks, the training frame."""
