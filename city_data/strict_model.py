"""The base of every document that people or programs write for the platform: unknown keys are errors.

Belongs here: the model's configuration. Does not: any document.
"""

from __future__ import annotations

import pydantic


class StrictModel(pydantic.BaseModel):
    """Immutable once it is read, so that it can be a key of what is computed from it."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
