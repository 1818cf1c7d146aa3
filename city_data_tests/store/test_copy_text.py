"""The text format of COPY."""

from __future__ import annotations

from city_data.store.copy_text import copy_texts


def test_every_kind_of_value_has_a_form_in_the_load() -> None:
    assert copy_texts([True, False, 4, 0.5, "a\tb", None]) == ["True", "False", "4", "0.5", r"a\tb", r"\N"]
