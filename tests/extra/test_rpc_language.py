"""The language of .rpc files: what classes it makes, and what it refuses, and where."""

import pickle
import random

import pytest

import evkit
from evkit.extra import Message, RPCLanguageError, parse_rpc
from evrpc_peers import Libevent

# libevent's test/regress.rpc, in other words.
REGRESS = """\
/* tests data packing and unpacking */
struct msg {
    string from_name = 1;   // who
    string to_name = 2;
    optional struct[kill] attack = 3;
    array struct[run] run = 4;
}
struct kill {
    string weapon = 0x10121;
    string action = 2;
    optional int how_often = 3;
}
struct run { string how = 1; }
"""


def fields(made: type[Message]) -> list[tuple[str, int, str, str]]:
    return [(each.name, each.tag, each.times.value, repr(each.kind)) for each in made.layout().fields]


def test_the_structs_of_libevent(libevent: Libevent) -> None:
    made = parse_rpc(REGRESS)
    assert list(made) == ["msg", "kill", "run"]
    msg, kill, run = made.values()
    assert (msg.__name__, issubclass(msg, Message)) == ("msg", True)
    message = msg(
        from_name="a", to_name="b", attack=kill(weapon="x", action="y", how_often=1), run=[run(how="z")]
    )
    data = message.marshal()
    assert libevent.take_apart("msg", 0, data) == (0, data, 0)
    assert msg.unmarshal(data) == message


def test_each_type() -> None:
    (made,) = parse_rpc("""
        struct all {
            int z = 0; int a = 1; int64 b = 0x2; string c = 0XFF; bytes d = 4294967295;
            bytes e[24] = 5; bytes[8] f = 6;
            array int64 g = 7; optional bytes h = 8; optional bytes i[2] = 9;
        }
    """).values()
    assert fields(made) == [
        ("z", 0, "field", "Number(bits=32)"),
        ("a", 1, "field", "Number(bits=32)"),
        ("b", 2, "field", "Number(bits=64)"),
        ("c", 255, "field", "Text()"),
        ("d", 2**32 - 1, "field", "Data(size=None)"),
        ("e", 5, "field", "Data(size=24)"),
        ("f", 6, "field", "Data(size=8)"),
        ("g", 7, "array", "Number(bits=64)"),
        ("h", 8, "optional", "Data(size=None)"),
        ("i", 9, "optional", "Data(size=2)"),
    ]


def test_structs_within_themselves_and_called_as_types_of_python() -> None:
    made = parse_rpc(
        "struct str { array struct[str] all = 1; optional struct[list] it = 2; } struct list { }"
    )
    text, inner = made["str"], made["list"]
    message = text(all=[text(), text(it=inner())])
    assert message.marshal().hex() == "0100" + "01020200"
    assert text.unmarshal(message.marshal()) == message


def test_words_of_python_get_a_score() -> None:
    (made,) = parse_rpc(
        "struct class { int from = 1; int new = 2; int marshal = 3; int __init__ = 4; }"
    ).values()
    assert [name for name, *_ in fields(made)] == ["from_", "new_", "marshal_", "__init___"]
    assert made(from_=1, new_=2, marshal_=3, __init___=4).marshal().hex() == "010101020102030103040104"


def test_what_is_skipped() -> None:
    made = parse_rpc(
        "#include <a> struct x {\n\n  # if 1\n\t#define Y \\\n struct z {\n"
        "/* a\n * b */ struct /**/ a // {\n{int/**/b=1;}\n"
    )
    assert list(made) == ["a"]
    assert parse_rpc("") == parse_rpc("  // nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("x", 1, 'expected "struct", got "x"'),
        ("\n\nstruct {", 3, 'expected the name of a struct, got "{"'),
        ("struct 1a {", 1, 'expected the name of a struct, got "1a"'),
        ("struct a", 1, 'expected "{", got the end'),
        ("struct a {\n\n", 3, "expected a type, got the end"),
        ("struct a {\n int x 1; }", 2, 'expected "=", got "1"'),
        ("struct a {\n int = 1; }", 2, 'expected the name of a field, got "="'),
        ("struct a {\n int x\n = y; }", 3, 'expected a tag, got "y"'),
        ("struct a { int x = 1 }", 1, 'expected ";", got "}"'),
        ("struct a { int x = 0x; }", 1, 'expected a tag, got "0x"'),
        ("struct a { int x = 010; }", 1, 'expected a tag, got "010"'),  # 8 for some, 10 for others
        ("struct a {\nint x = 4294967296; }", 2, "expected a tag of at most 4294967295, got 4294967296"),
        ("struct a { float x = 1; }", 1, "expected int, int64, string, bytes or struct[NAME], got float"),
        ("struct a { optional array int x = 1; }", 1, "or struct[NAME], got array"),
        ("struct a { array optional int x = 1; }", 1, "or struct[NAME], got optional"),
        ("struct a { array bytes x = 1; }", 1, "bytes cannot be an array"),
        ("struct a { array bytes x[4] = 1; }", 1, "bytes cannot be an array"),
        ("struct a { int x[4] = 1; }", 1, 'expected "=", got "["'),
        ("struct a { bytes x[y] = 1; }", 1, 'expected a size, got "y"'),
        ("struct a { bytes[2] x[2] = 1; }", 1, 'expected "=", got "["'),
        ("struct a { int x = 1;\n int y = 0x1; }", 2, "tag 1 is x's"),
        ("struct a { int x = 1;\n int x = 2; }", 2, "there is a field x already"),
        ("struct a {\n int x = 1; int x = 2;\n }", 2, "there is a field x already"),
        ("struct a {\n array bytes x = 1;\n }", 2, "bytes cannot be an array"),
        ("/* two\nlines */ // of\n# define a \\\n b\nx", 5, 'expected "struct", got "x"'),
        ("struct a { int new = 1;\n int new_ = 2; }", 2, "there is a field new_ already"),
        ("struct a { }\nstruct a { }", 2, "there is a struct a already"),
        ("struct a {\n struct[b] x = 1; }", 2, "there is no struct b"),
        ("struct int { }", 1, "a struct cannot be called int"),
        ("struct a { struct[int] x = 1; }", 1, "a struct cannot be called int"),
        ("struct a { struct x = 1; }", 1, 'expected "[", got "x"'),
        ("\n/* never closed", 2, "expected a word or a sign, got '/'"),
        ("struct a { } ?", 1, "expected a word or a sign, got '?'"),
        ("struct a { };", 1, 'expected "struct", got ";"'),
        ("struct \u00e9 { }", 1, "expected a word or a sign"),
    ],
)
def test_what_is_refused(text: str, line: int, reason: str) -> None:
    with pytest.raises(RPCLanguageError) as caught:
        parse_rpc(text)
    assert reason in caught.value.reason
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")


def test_what_kind_of_error_it_is() -> None:
    assert issubclass(RPCLanguageError, evkit.EvkitError)
    assert issubclass(RPCLanguageError, ValueError)
    error = pickle.loads(pickle.dumps(RPCLanguageError("why", 3)))
    assert (error.reason, error.line) == ("why", 3)


def test_random_texts_are_read_or_refused() -> None:
    chance = random.Random(7)
    words = [
        *"{}[]=;",
        "struct",
        "a",
        "b",
        "int",
        "bytes",
        "optional",
        "array",
        "1",
        "0x2",
        "\n",
        "/*",
        "*/",
        "#",
    ]
    words += ["struct a {", "int b = 1;", "}", "array struct[a] c = 3;"]
    read = 0
    for _ in range(5_000):
        text = " ".join(chance.choices(words, k=chance.randrange(9)))
        error = refusal(text)
        if error is None:
            read += 1
        else:
            assert 1 <= error.line <= text.count("\n") + 1
    assert 100 < read < 4_900


def refusal(text: str) -> RPCLanguageError | None:
    try:
        parse_rpc(text)
    except RPCLanguageError as error:
        return error
    return None
