"""The grammar of Sec-WebSocket-Extensions."""

import pytest

from evkit.http.websocket.extensions import Extension, parse_extensions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" , ,", []),
        ("foo", [Extension("foo")]),
        ("foo, bar; baz=2", [Extension("foo"), Extension("bar", (("baz", "2"),))]),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
            [
                Extension(
                    "permessage-deflate",
                    (("client_max_window_bits", None), ("server_max_window_bits", "10")),
                )
            ],
        ),
        ('a;b="c"', [Extension("a", (("b", "c"),))]),
        ("\ta ;\tb = c ,\td ", [Extension("a", (("b", "c"),)), Extension("d")]),
        ("a;x;x=1", [Extension("a", (("x", None), ("x", "1")))]),
        (",a,,b,", [Extension("a"), Extension("b")]),
    ],
)
def test_lists(text: str, expected: list[Extension]) -> None:
    assert parse_extensions(text) == expected
    assert parse_extensions(", ".join(map(str, expected))) == expected


@pytest.mark.parametrize(
    "text",
    [";", "a;", "a;=1", "a b", 'a;b="c', 'a;b=""', 'a;b="c d"', "a;b=", "a=1", "é", "a\n", "a/b", "a;b;;c"],
)
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_extensions(text)


def test_a_list_that_is_too_long() -> None:
    assert len(parse_extensions(",".join(["a"] * 2048))) == 2048
    with pytest.raises(ValueError, match="4096 characters"):
        parse_extensions("a," * 2049)
