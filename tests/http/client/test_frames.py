"""`evkit.http.client.frames`: evkit's own errors hold nobody, and those of a program tell where they come from."""

import pytest

from evkit.errors import ConnectError
from evkit.http.client.frames import without_frames


def fail() -> None:
    try:
        try:
            raise KeyError("a")
        except KeyError:
            raise OSError("b")  # noqa: B904 - what is behind it by itself
    except OSError as error:
        raise ConnectError("c") from error


def test_an_error_of_evkit_and_what_is_behind_it() -> None:
    with pytest.raises(ConnectError) as caught:
        fail()
    error: BaseException | None = caught.value
    assert without_frames(caught.value) is caught.value
    links = 0
    while error is not None:
        links += 1
        assert error.__traceback__ is None
        error = error.__cause__ or error.__context__
    assert links == 3


def test_errors_that_go_round() -> None:
    first, second = ConnectError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert without_frames(first) is first


def test_another_error_keeps_its_traceback() -> None:
    with pytest.raises(OSError, match="a") as caught:
        raise OSError("a")
    assert without_frames(caught.value).__traceback__ is not None
