"""`Limits`: sizes that make no sense are refused, by name."""

from typing import Any

import pytest

from evkit.http.parser import Limits

NAMES = ("max_target", "max_head", "max_fields", "max_chunk_extensions", "max_trailers")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [-1, "1", 1.5, None, True])
def test_what_is_no_limit_is_named(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be an int >= [01], got {wrong!r}"):
        Limits(**{name: wrong})


@pytest.mark.parametrize("name", NAMES)
def test_nothing_at_all_may_be_said_of_what_means_nothing(name: str) -> None:
    if name in ("max_chunk_extensions", "max_trailers"):
        assert getattr(Limits(**{name: 0}), name) == 0
    else:
        with pytest.raises(ValueError, match=f"^{name} must be an int >= 1, got 0"):
            Limits(**{name: 0})
