"""`Limits`: sizes that make no sense are refused, by name."""

import pytest

from evkit.http.parser import Limits


@pytest.mark.parametrize(
    "name", ["max_target", "max_head", "max_fields", "max_chunk_extensions", "max_trailers"]
)
def test_a_limit_below_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: -1})
