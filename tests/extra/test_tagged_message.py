"""Classes of messages: what may be declared, the bytes of libevent's struct msg, and what is refused."""

import random
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit import Buffer, FrozenBufferError, LockedBuffer
from evkit.extra import Message, TagError, TagIncomplete, array, field, optional, tagging
from evkit.extra.message_layout import MAX_DEPTH
from evrpc_peers import Libevent

# As libevent's test/regress.rpc has it.


class Msg(Message):
    from_name: str = field(1)
    to_name: str = field(2)
    attack: "Kill | None" = optional(3)
    run: "list[Run]" = array(4)


class Kill(Message):
    weapon: str = field(0x10121)
    action: str = field(2)
    how_often: int | None = optional(3)


class Run(Message):
    how: str = field(1)


class Tree(Message):
    children: "list[Tree]" = array(1)


class All(Message):
    small: int = field(1)
    wide: int = field(2, bits=64)
    data: bytes = field(3)
    key: bytes = field(4, size=4)
    # The older way to say it.
    maybe: Optional[int] = optional(5, bits=64)  # noqa: UP045
    texts: list[str] = array(6)
    keys: list[bytes] = array(7, size=2)


ATTACK = Kill(weapon="gun", action="shoot", how_often=300)
MSG = Msg(from_name="niels", to_name="tester", attack=ATTACK, run=[Run(how="very fast"), Run(how="")])
WIRE = bytes.fromhex(
    "01056e69656c73"
    "0206746573746572"
    "031210" + "a182040367756e" + "020573686f6f74" + "03022c21"
    "040b" + "010976657279" + "2066617374"
    "0402" + "0100"
)


def tree(depth: int) -> Tree:
    top = Tree()
    for _ in range(depth - 1):
        top = Tree(children=[top])
    return top


class TestBytes:
    def test_the_message_of_libevent(self, libevent: Libevent) -> None:
        assert MSG.marshal() == WIRE
        assert Msg.unmarshal(WIRE) == MSG
        assert libevent.take_apart("msg", 0, WIRE) == (0, WIRE, 0)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, Buffer])
    def test_it_is_read_from_anything_with_bytes(self, kind: type) -> None:
        assert Msg.unmarshal(kind(WIRE)) == MSG

    def test_a_buffer_is_empty_then(self) -> None:
        buffer = LockedBuffer()
        for byte in WIRE:
            buffer.add_reference(bytes((byte,)))
        assert Msg.unmarshal(buffer) == MSG
        assert not buffer

    def test_a_buffer_keeps_what_is_refused(self) -> None:
        buffer = Buffer(WIRE + b"\5")
        with pytest.raises(TagError, match="Msg: expected a tag of one of its fields, got 5"):
            Msg.unmarshal(buffer)
        assert bytes(buffer) == WIRE + b"\5"

    def test_a_frozen_buffer_keeps_all(self) -> None:
        buffer = Buffer(WIRE)
        buffer.freeze(front=True)
        with pytest.raises(FrozenBufferError):
            Msg.unmarshal(buffer)
        assert bytes(buffer) == WIRE

    @pytest.mark.parametrize("what", [3, "text", None])
    def test_what_has_no_bytes(self, what: object) -> None:
        with pytest.raises(TypeError):
            Msg.unmarshal(what)  # type: ignore[arg-type]

    def test_each_kind_of_field(self) -> None:
        message = All(
            small=2**32 - 1,
            wide=2**64 - 1,
            data=b"\0",
            key=b"1234",
            maybe=2**63,
            texts=["", "a"],
            keys=[b"ab", b"cd"],
        )
        data = message.marshal()
        assert data.hex() == (
            "01057ffffffff0" + "0209fffffffffffffffff0" + "030100" + "040431323334"
            "0509f00000000000000080" + "0600" + "060161" + "07026162" + "07026364"
        )
        assert All.unmarshal(data) == message


class TestField:
    def test_there_and_back_bit_by_bit(self) -> None:
        whole, buffer = Buffer(), Buffer()
        MSG.marshal_field(whole, 300)
        for byte in bytes(whole):
            with pytest.raises(TagIncomplete):
                Msg.unmarshal_field(buffer, 300)
            buffer.add_reference(bytes((byte,)))
        buffer.add(b"rest")
        assert Msg.unmarshal_field(buffer, 300) == MSG
        assert bytes(buffer) == b"rest"

    def test_another_tag(self) -> None:
        buffer = Buffer(b"\6")
        with pytest.raises(TagError, match="expected tag 5, got 6"):
            Msg.unmarshal_field(buffer, 5)
        assert bytes(buffer) == b"\6"

    def test_an_error_tells_where_from_the_front_of_the_buffer(self) -> None:
        data = b"\5\4\1\2\xff\xff"
        buffer = Buffer(data)
        with pytest.raises(TagError, match=r"Msg.from_name: .* 0xff \(at byte 4\)"):
            Msg.unmarshal_field(buffer, 5)
        assert bytes(buffer) == data

    def test_its_limits(self) -> None:
        buffer = Buffer()
        Tree(children=[Tree(), Tree()]).marshal_field(buffer, 5)
        with pytest.raises(TagError, match="at most 3 bytes, got one of 4"):
            Tree.unmarshal_field(buffer, 5, max_payload=3)
        with pytest.raises(TagError, match="at most 1 fields, got more"):
            Tree.unmarshal_field(buffer, 5, max_fields=1)
        assert len(Tree.unmarshal_field(buffer, 5, max_payload=4, max_fields=2).children) == 2

    def test_a_message_that_is_not_good_adds_nothing(self) -> None:
        buffer = Buffer()
        with pytest.raises(ValueError, match="it is not set"):
            Msg.new().marshal_field(buffer, 5)
        assert not buffer


class TestRules:
    """The same as in libevent's program, which follows the code that event_rpcgen.py generates."""

    @pytest.mark.parametrize(
        ("wire", "reason"),
        [
            ("", "Msg.from_name: expected tag 1, got none"),
            ("0100", "Msg.to_name: expected tag 2, got none"),
            ("01000200" + "0500", "Msg: expected a tag of one of its fields, got 5"),
            ("01000200" + "0100", "Msg.from_name: expected tag 1 once"),
            ("01000200" + "0300", "Msg.attack: Kill.weapon: expected tag 65825, got none"),
            ("01000200" + "0400", "Msg.run: Run.how: expected tag 1, got none"),
            ("01000200" + "040401000100", "Msg.run: Run.how: expected tag 1 once"),
            ("01000200" + "04030100", "Msg.run: expected a payload of 3 bytes, got 2"),
            ("01000200" + "0306" + "a1820400" + "0200" + "0306" + "a1820400" + "0200", "expected tag 3 once"),
            (
                "01000200" + "0309" + "a1820400" + "0200" + "030110",
                "Msg.attack: Kill.how_often: expected an int",
            ),
        ],
    )
    def test_what_is_refused(self, wire: str, reason: str, libevent: Libevent) -> None:
        data = bytes.fromhex(wire)
        with pytest.raises(TagError) as caught:
            Msg.unmarshal(data)
        assert reason in caught.value.reason
        assert not isinstance(caught.value, TagIncomplete)
        assert libevent.take_apart("msg", 0, data) is None

    def test_each_cut_of_a_message(self) -> None:
        good = {7 + 8, 7 + 8 + 21, 7 + 8 + 21 + 13, len(WIRE)}  # without the fields that may be missing
        for size in range(len(WIRE) + 1):
            if size in good:
                Msg.unmarshal(WIRE[:size])
            else:
                with pytest.raises(TagError):
                    Msg.unmarshal(WIRE[:size])

    def test_how_deep(self) -> None:
        data = tree(MAX_DEPTH).marshal()
        assert Tree.unmarshal(data) == tree(MAX_DEPTH)
        with pytest.raises(ValueError, match="at most 64 messages within one another"):
            tree(MAX_DEPTH + 1).marshal()
        deeper = Buffer(data)
        tagging.marshal_buffer(outer := Buffer(), 1, deeper)
        with pytest.raises(TagError, match="at most 64 messages within one another"):
            Tree.unmarshal(outer)

    def test_a_message_that_contains_itself(self) -> None:
        endless = Tree()
        endless.children.append(endless)
        with pytest.raises(ValueError, match="within one another"):
            endless.marshal()
        assert not endless.complete()

    def test_how_many_fields(self) -> None:
        data = 100_001 * b"\1\0"
        with pytest.raises(TagError, match="expected at most 100000 fields, got more"):
            Tree.unmarshal(data)
        assert len(Tree.unmarshal(data, max_fields=None).children) == 100_001

    def test_values_are_checked_when_they_are_written(self) -> None:
        message = Msg(from_name="a", to_name="b", attack=Kill(weapon="", action="", how_often=2**32))
        with pytest.raises(ValueError, match=r"Msg.attack: Kill.how_often: expected a number from 0"):
            message.marshal()
        message.attack = Run(how="")  # type: ignore[assignment]
        with pytest.raises(TypeError, match=r"Msg.attack: expected Kill, got Run"):
            message.marshal()


class TestObjects:
    def test_they_are_made_by_keyword(self) -> None:
        assert (MSG.from_name, MSG.attack, MSG.run[0].how) == ("niels", ATTACK, "very fast")
        empty = Msg(from_name="", to_name="")
        assert (empty.attack, empty.run) == (None, [])
        assert empty.run is not Msg(from_name="", to_name="").run
        with pytest.raises(TypeError, match="to_name"):
            Msg(from_name="")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="positional"):
            Msg("", "")  # type: ignore[misc]

    def test_they_compare_by_value_and_tell_it(self) -> None:
        assert Run(how="a") == Run(how="a") != Run(how="b")
        assert repr(Kill(weapon="gun", action="")) == "Kill(weapon='gun', action='', how_often=None)"

    def test_filled_in_bit_by_bit(self) -> None:
        message = Msg.new()
        assert repr(message) == "Msg(from_name=None, to_name=None, attack=None, run=[])"
        message.from_name = "niels"
        assert not message.complete()
        message.to_name = "tester"
        assert message.complete()
        message.attack = Kill.new()
        assert not message.complete()
        message.attack = ATTACK
        message.run.append(Run.new())
        assert not message.complete()
        message.run = list(MSG.run)
        assert message.complete()
        assert message == MSG

    def test_a_subclass_has_the_fields_of_both(self) -> None:
        class Loud(Run):
            volume: int = field(2)

        assert Loud.unmarshal(b"\1\1a\2\1\5") == Loud(how="a", volume=5)
        assert Run(how="a").marshal() == b"\1\1a"
        # Where a Run is wanted, a Run is what the other side can read.
        assert Msg(from_name="", to_name="", run=[Loud(how="a", volume=5)]).marshal()[-4:] == b"\3\1\1a"


class TestDeclarations:
    def test_a_tag_that_another_field_has(self) -> None:
        with pytest.raises(ValueError, match=r"Twice.b: tag 1 is a's"):

            class Twice(Message):
                a: int = field(1)
                b: int = optional(1)

    @pytest.mark.parametrize("name", ["marshal", "unmarshal", "complete", "new", "layout"])
    def test_a_name_that_all_messages_have(self, name: str) -> None:
        with pytest.raises(TypeError, match=f"Bad.{name}: all messages have something of this name"):
            type("Bad", (Message,), {"__annotations__": {name: int}, name: field(1)})

    @pytest.mark.parametrize(
        ("annotation", "declared", "reason"),
        [
            (int, 3, r"expected field\(\), optional\(\) or array\(\)"),
            (float, field(1), "expected int, str, bytes or a class of messages, got <class 'float'>"),
            (bool, field(1), "expected int"),
            (Message, field(1), "expected int"),
            (int | None, field(1), r"expected a plain type for field\(\), got int | None"),
            (list[int], field(1), r"expected a plain type for field\(\)"),
            (int, optional(1), r"expected a type and None for optional\(\)"),
            (int | str, optional(1), r"expected a type and None for optional\(\)"),
            (int | str | None, optional(1), r"expected a type and None for optional\(\)"),
            (list[int], optional(1), r"expected a type and None for optional\(\)"),
            (int, array(1), r"expected a list for array\(\)"),
            (int | None, array(1), r"expected a list for array\(\)"),
            (list, array(1), r"expected a list for array\(\)"),
            (list[list[int]], array(1), "expected int"),
            (int, field(1, size=4), "size= for bytes"),
            (bytes, field(1, bits=64), "bits= is for int"),
            (str, field(1, size=4), "size= for bytes"),
        ],
    )
    def test_a_field_that_cannot_be(self, annotation: object, declared: object, reason: str) -> None:
        with pytest.raises(TypeError, match=f"Bad.it: .*{reason}"):
            type("Bad", (Message,), {"__annotations__": {"it": annotation}, "it": declared})

    @pytest.mark.parametrize(
        ("tag", "options"), [(-1, {}), (2**32, {}), (1, {"bits": 16}), (1, {"size": -1})]
    )
    def test_a_number_out_of_range(self, tag: int, options: dict[str, int]) -> None:
        for declare in (field, optional, array):
            with pytest.raises(ValueError, match=r"expected "):
                declare(tag, **options)

    def test_a_class_that_is_not_there_when_it_is_used(self) -> None:
        class Lost(Message):
            it: "Nowhere" = field(1)  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(NameError, match="Nowhere"):
            Lost.unmarshal(b"")

    def test_classes_that_are_named_apart(self) -> None:
        class Named(Message, names={"Other": Run}):
            it: "Other" = field(1)  # type: ignore[name-defined]  # noqa: F821

        assert Named.unmarshal(b"\1\3\1\1a") == Named(it=Run(how="a"))


TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
KILLS = st.builds(Kill, weapon=TEXT, action=TEXT, how_often=st.none() | st.integers(0, 2**32 - 1))
MSGS = st.builds(
    Msg,
    from_name=TEXT,
    to_name=TEXT,
    attack=st.none() | KILLS,
    run=st.lists(st.builds(Run, how=TEXT), max_size=5),
)


@given(MSGS)
def test_any_message_there_and_back_through_libevent(libevent: Libevent, message: Msg) -> None:
    data = message.marshal()
    assert libevent.take_apart("msg", 0, data) == (0, data, 0)
    assert Msg.unmarshal(data) == message


@given(MSGS, st.data())
def test_a_message_with_an_error_is_judged_as_by_libevent(
    libevent: Libevent, message: Msg, choice: st.DataObject
) -> None:
    data = bytearray(message.marshal())
    for _ in range(choice.draw(st.integers(1, 3))):
        data[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 127))
    theirs = libevent.take_apart("msg", 0, bytes(data))
    ours = None
    try:
        ours = Msg.unmarshal(bytes(data))
    except TagError as error:
        if "UTF-8" in error.reason:
            return
    assert (ours is None) == (theirs is None)


def test_random_bytes_are_read_or_refused() -> None:
    chance = random.Random(1203)
    pieces = [WIRE[:7], WIRE[7:15], WIRE[15:36], WIRE[36:49], WIRE[49:], b"\1", b"\2\0", b"\x80", b"\xff\xff"]
    read = 0
    for turn in range(100_000):
        data = b"".join(chance.choices(pieces, k=chance.randrange(1, 7))) if turn % 2 else chance.randbytes(9)
        try:
            message = Msg.unmarshal(data)
        except TagError:
            continue
        read += 1
        if "\\x00" not in repr(message):  # which is read, and not written
            assert Msg.unmarshal(message.marshal()) == message
    assert 100 < read < 50_000
