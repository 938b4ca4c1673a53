"""Which words of the command line are names and which are types, and what a line of a file asks."""

import pytest

from evkit.cli.errors import USAGE, Failure
from evkit.cli.resolve_questions import Question, Wish, make_question, read_line, sort_words

PLAIN = Wish()
REVERSE = Wish((), reverse=True)


@pytest.mark.parametrize(
    ("words", "names", "types"),
    [
        ([], [], ()),
        (["example.org"], ["example.org"], ()),
        (["example.org", "mx"], ["example.org"], ("MX",)),
        (["mx", "example.org"], ["example.org"], ("MX",)),
        (["a.test", "TXT", "b.test", "Mx"], ["a.test", "b.test"], ("TXT", "MX")),
        (["a.test", "mx", "MX", "mx"], ["a.test"], ("MX",)),
        (["a.test", "type65280", "TYPE15"], ["a.test"], ("TYPE65280", "MX")),
        (["a.test", "any"], ["a.test"], ("ANY",)),
        (["mx."], ["mx."], ()),
        (["mx.", "mx"], ["mx."], ("MX",)),
        (["28"], ["28"], ()),
        (["a.test", "a.test"], ["a.test", "a.test"], ()),
    ],
)
def test_a_word_that_is_a_mnemonic_is_a_type(
    words: list[str], names: list[str], types: tuple[str, ...]
) -> None:
    assert sort_words(words, reverse=False) == (names, Wish(types))


@pytest.mark.parametrize("word", ["axfr", "IXFR", "Opt", "TSIG", "tkey"])
def test_a_type_that_cannot_be_asked_for_is_not_taken_for_a_name(word: str) -> None:
    with pytest.raises(
        Failure, match=f"{word.upper()} can't be asked for .for a name write {word}\\."
    ) as told:
        sort_words(["a.test", word], reverse=False)
    assert told.value.status == USAGE


def test_the_names_of_an_address_are_of_one_type() -> None:
    assert sort_words(["192.0.2.1", "ptr"], reverse=True) == (["192.0.2.1"], Wish(("PTR",), reverse=True))
    with pytest.raises(Failure, match="--reverse asks for PTR, not for MX, TXT") as told:
        sort_words(["192.0.2.1", "mx", "txt"], reverse=True)
    assert told.value.status == USAGE


def test_questions() -> None:
    assert make_question("a.test", PLAIN) == Question("a.test", ("A", "AAAA"), any_type=True)
    assert make_question("a.test", Wish(("MX", "A"))) == Question("a.test", ("MX", "A"))
    assert make_question("2001:db8::1", REVERSE) == Question("2001:db8::1", ("PTR",), reverse=True)


@pytest.mark.parametrize(
    ("name", "wish", "told"),
    [
        ("192.0.2.1", PLAIN, "expected a name, got the address 192.0.2.1; --reverse asks for its names"),
        ("::1", PLAIN, "expected a name, got the address ::1"),
        ("a.test", REVERSE, "expected an IPv4 or IPv6 address"),
        ("a..test", PLAIN, "expected labels of 1 to 63 bytes, got an empty one"),
        ("a\x1b.test", PLAIN, "expected characters that can be seen"),
        ("x" * 64, PLAIN, "expected labels of 1 to 63 bytes, got one of 64"),
        ("", PLAIN, "expected a name of 1 to"),
    ],
)
def test_what_is_no_name(name: str, wish: Wish, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make_question(name, wish)


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ("", None),
        ("   \t\r", None),
        ("# a comment", None),
        ("  #a", None),
        ("a.test", Question("a.test", ("A", "AAAA"), any_type=True)),
        ("  a.test \r", Question("a.test", ("A", "AAAA"), any_type=True)),
        ("a.test mx TXT mx", Question("a.test", ("MX", "TXT"))),
        ("mx", Question("mx", ("A", "AAAA"), any_type=True)),  # the first word of a line is a name
        ("mx mx", Question("mx", ("MX",))),
    ],
)
def test_lines(line: str, question: Question | None) -> None:
    assert read_line(line, PLAIN) == question


def test_a_line_may_say_other_types_than_the_command_line() -> None:
    wish = Wish(("NS",))
    assert read_line("a.test", wish) == Question("a.test", ("NS",))
    assert read_line("a.test soa", wish) == Question("a.test", ("SOA",))
    assert read_line("192.0.2.1", REVERSE) == Question("192.0.2.1", ("PTR",), reverse=True)


@pytest.mark.parametrize(
    ("line", "wish", "told"),
    [
        ("a.test b.test", PLAIN, "expected a type of .* got 'b.test'"),
        ("a.test axfr", PLAIN, "expected a record type that can be asked for, got AXFR"),
        ("192.0.2.1 mx", REVERSE, "expected an address alone, got 192.0.2.1 mx"),
        ("192.0.2.300", REVERSE, "expected an IPv4 or IPv6 address"),
        ("a..b", PLAIN, "an empty one"),
    ],
)
def test_bad_lines(line: str, wish: Wish, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_line(line, wish)
