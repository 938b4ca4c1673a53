"""`evkit.http.static.representation`: validators and fields from the numbers of an fstat."""

import os

import pytest

from evkit.http.static import representation
from evkit.http.static.representation import Representations

NOW = 1_800_000_000.0
EXAMPLE = 784_111_777
TYPE = "text/plain; charset=utf-8"


def info(*, mtime_ns: int = EXAMPLE * 10**9, size: int = 5, inode: int = 7) -> os.stat_result:
    """The fields of a stat that count; Python keeps the nanoseconds in the nineteenth."""
    values = [0o100644, inode, 0, 1, 0, 0, size, 0, mtime_ns // 10**9, 0]
    return os.stat_result(values, {"st_mtime": mtime_ns / 1e9, "st_mtime_ns": mtime_ns})


def test_fields() -> None:
    file = Representations("max-age=60").get(info(), TYPE, NOW)
    assert file.etag[0] == file.etag[-1] == '"'
    assert file.validators == [
        ("ETag", file.etag),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Cache-Control", "max-age=60"),
    ]
    assert dict(file.fields) == {
        **dict(file.validators),
        "Content-Type": TYPE,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }
    assert (file.size, file.modified, file.content_type) == (5, EXAMPLE, TYPE)


def test_no_cache_control_unless_asked_for() -> None:
    assert "Cache-Control" not in dict(Representations(None).get(info(), TYPE, NOW).fields)


def test_each_number_makes_another_tag() -> None:
    made = Representations(None)
    variants = [info(), info(mtime_ns=EXAMPLE * 10**9 + 1), info(size=6), info(inode=8)]
    tags = {made.get(variant, TYPE, NOW).etag for variant in variants}
    assert len(tags) == len(variants)
    assert made.get(info(), TYPE, NOW).etag in tags


@pytest.mark.parametrize(
    ("mtime_ns", "modified"),
    [
        (-1, 0),
        (-(10**9) * 10**12, 0),
        (int(NOW + 1) * 10**9, int(NOW)),
        (10**9 * 10**12, int(NOW)),
        (EXAMPLE * 10**9 + 999_999_999, EXAMPLE),
    ],
)
def test_last_modified_is_a_time_that_has_been(mtime_ns: int, modified: int) -> None:
    assert Representations(None).get(info(mtime_ns=mtime_ns), TYPE, NOW).modified == modified


def test_a_time_in_the_future_comes_nearer() -> None:
    made = Representations(None)
    future = info(mtime_ns=int(NOW + 10) * 10**9)
    assert made.get(future, TYPE, NOW).modified == NOW
    assert made.get(future, TYPE, NOW + 5).modified == NOW + 5


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(representation, "_KEPT", 2)
    made = Representations(None)
    first = made.get(info(size=1), TYPE, NOW)
    assert made.get(info(size=1), TYPE, NOW) is first
    for size in (2, 3):
        made.get(info(size=size), TYPE, NOW)
    assert made.get(info(size=1), TYPE, NOW) is not first


def test_the_coding_is_told_beside_the_type_of_the_content() -> None:
    made = Representations(None, varies=True)
    plain, coded = made.get(info(), TYPE, NOW), made.get(info(inode=8), TYPE, NOW, coding="gzip")
    assert dict(coded.fields) == {**dict(plain.fields), "ETag": coded.etag, "Content-Encoding": "gzip"}
    assert dict(coded.validators)["Vary"] == dict(plain.validators)["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in dict(coded.validators)
    assert (coded.coding, plain.coding) == ("gzip", "")


def test_one_file_by_two_names_may_be_coded_by_one() -> None:
    made = Representations(None)
    assert dict(made.get(info(), TYPE, NOW, coding="gzip").fields)["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in dict(made.get(info(), TYPE, NOW).fields)
