"""`evkit.http.client.decoding`: chains of codings, in pieces, within limits."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import RemoteProtocolError
from evkit.http.client import decoding
from evkit.http.client.decoding import Decoder, accept_encoding, decoder_for
from evkit.http.errors import ContentError, ContentTooLarge
from evkit.http.headers import Headers

TEXT = b"".join(b"%d, " % number for number in range(50_000))


def named(*values: str) -> Headers:
    return Headers([("Content-Encoding", value) for value in values])


def all_of(decoder: Decoder, *coded: bytes) -> bytes:
    out = b"".join(piece for data in coded for piece in decoder.decode(data))
    decoder.finish()
    return out


def test_what_is_asked_for() -> None:
    assert accept_encoding().split(", ")[:2] == ["gzip", "deflate"]
    assert set(accept_encoding().split(", ")) <= {"gzip", "deflate", "br", "zstd"}


@pytest.mark.parametrize("values", [(), ("",), ("identity",), ("Identity, ", " ,")])
def test_no_coding(values: tuple[str, ...]) -> None:
    assert decoder_for(named(*values)) is None


@pytest.mark.parametrize(
    ("values", "coded"),
    [
        (("gzip",), gzip.compress(TEXT)),
        (("GZip",), gzip.compress(TEXT)),
        (("x-gzip",), gzip.compress(TEXT)),
        (("deflate",), zlib.compress(TEXT)),
        ((" gzip\t",), gzip.compress(TEXT)),
        (("identity, gzip",), gzip.compress(TEXT)),
        # RFC 9110 §8.4: in the order in which they were applied.
        (("gzip, deflate",), zlib.compress(gzip.compress(TEXT))),
        (("gzip", "deflate"), zlib.compress(gzip.compress(TEXT))),
        (("deflate,gzip,gzip",), gzip.compress(gzip.compress(zlib.compress(TEXT)))),
    ],
)
def test_codings_are_undone(values: tuple[str, ...], coded: bytes) -> None:
    decoder = decoder_for(named(*values))
    assert decoder is not None
    assert all_of(decoder, coded) == TEXT
    assert decoder.size == len(TEXT)
    assert decoder.coded_size == len(coded)


@pytest.mark.parametrize(
    "value", ["compress", "utf-8", "gzip deflate", "x-deflate", "x-x-gzip", "gzip;q=1", "*"]
)
def test_a_coding_that_nobody_knows(value: str) -> None:
    with pytest.raises(ContentError, match="expected content coded as gzip"):
        decoder_for(named(value))


def test_a_coding_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "codings", dict)
    with pytest.raises(ContentError, match=r"evkit\[codings\]"):
        decoder_for(named("br"))


def test_too_many_codings() -> None:
    assert decoder_for(named("gzip, gzip, gzip, identity")) is not None
    with pytest.raises(ContentError, match="at most 3"):
        decoder_for(named(", ".join(["gzip"] * 1000)))


def test_errors_are_the_peers_fault() -> None:
    assert issubclass(ContentTooLarge, ContentError)
    assert issubclass(ContentError, RemoteProtocolError)


def test_pieces_have_a_size() -> None:
    decoder = Decoder(["gzip"])
    sizes = [len(piece) for piece in decoder.decode(gzip.compress(bytes(1_000_000)))]
    assert max(sizes) == 65536
    assert sum(sizes) == 1_000_000


def test_who_stops_early_gets_the_rest_later() -> None:
    decoder = Decoder(["gzip"])
    coded = gzip.compress(TEXT)
    half = len(coded) // 2
    first = next(decoder.decode(coded[:half]))
    second = next(decoder.decode(coded[half:]))
    rest = b"".join(decoder.decode(b""))
    decoder.finish()
    assert first + second + rest == TEXT


def test_nothing_is_decoded_before_it_is_read() -> None:
    decoder = Decoder(["gzip"])
    decoder.feed(gzip.compress(TEXT))
    assert decoder.size == 0
    assert decoder.read(10) == TEXT[:10]
    assert decoder.size == 10
    assert decoder.coded_size <= 16384


def test_much_at_once_is_taken_bit_by_bit() -> None:
    noise = zlib.compress(b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(50_000)), 0)
    decoder = Decoder(["deflate"])
    decoder.feed(noise)
    decoder.read(1)
    assert decoder.coded_size == 16384


@pytest.mark.parametrize("size", [0, -1])
def test_a_piece_of_nothing(size: int) -> None:
    """For zlib a limit of 0 is none at all."""
    decoder = Decoder(["gzip"])
    with pytest.raises(ValueError, match="1 or more"):
        decoder.read(size)


@pytest.mark.parametrize("names", [["gzip"], ["gzip", "deflate"], ["deflate", "gzip"]])
def test_what_is_cut_short(names: list[str]) -> None:
    coded = b"text"
    for name in names:
        coded = gzip.compress(coded) if name == "gzip" else zlib.compress(coded)
    for end in range(1, len(coded)):
        decoder = Decoder(names)
        list(decoder.decode(coded[:end]))
        with pytest.raises(ContentError, match="too soon"):
            decoder.finish()


def test_an_inner_coding_that_is_cut_short() -> None:
    decoder = Decoder(["gzip", "deflate"])
    list(decoder.decode(zlib.compress(gzip.compress(b"text")[:-1])))
    with pytest.raises(ContentError, match="too soon"):
        decoder.finish()


def test_no_content_at_all_is_complete() -> None:
    """What a response to HEAD has, and a careless 200."""
    assert all_of(Decoder(["gzip", "deflate"])) == b""


def test_junk_behind_the_end() -> None:
    with pytest.raises(ContentError):
        all_of(Decoder(["gzip"]), gzip.compress(b"text"), b"junk")
    with pytest.raises(ContentError):
        all_of(Decoder(["gzip", "deflate"]), zlib.compress(gzip.compress(b"text") + b"junk"))


# Limits


@pytest.mark.parametrize("most", [0, 1, 4, 65536, 65537, len(TEXT)])
def test_the_size_is_limited(most: int) -> None:
    decoder = Decoder(["gzip"], max_size=most)
    assert all_of(decoder, gzip.compress(TEXT[:most])) == TEXT[:most]
    decoder = Decoder(["gzip"], max_size=most)
    sizes: list[int] = []
    with pytest.raises(ContentTooLarge, match=f"longer than {most} bytes"):
        sizes.extend(map(len, decoder.decode(gzip.compress(TEXT + b"x"))))
    assert sum(sizes) <= most
    assert decoder.size <= most + 1  # no more was decoded than it takes to know


def test_the_ratio_is_limited() -> None:
    def bomb(size: int) -> bytes:
        return gzip.compress(bytes(size))

    assert len(all_of(Decoder(["gzip"], max_ratio=10), bomb(1_048_576))) == 1_048_576  # a MiB is free
    decoder = Decoder(["gzip"], max_ratio=10)
    with pytest.raises(ContentTooLarge, match="more than 10 times"):
        all_of(decoder, bomb(5_000_000))
    assert decoder.size <= 1_048_576 + 65536
    assert len(all_of(Decoder(["gzip"], max_ratio=None), bomb(5_000_000))) == 5_000_000


def test_honest_zeros_pass() -> None:
    assert len(all_of(Decoder(["gzip"]), gzip.compress(bytes(20_000_000), 9))) == 20_000_000


@pytest.mark.parametrize("size", [20_000_000, 100_000_000])
def test_a_bomb_in_a_bomb(size: int) -> None:
    """What comes from one response counts together: a smaller one is found behind the last coding, a larger before."""
    decoder = Decoder(["gzip", "gzip"])
    with pytest.raises(ContentTooLarge, match="times"):
        all_of(decoder, gzip.compress(gzip.compress(bytes(size))))
    assert decoder.size < 2_000_000


def test_much_of_nothing_between_two_codings() -> None:
    """Deflate's empty blocks: a million of them come to nothing, and no size of the content would show it."""
    nothing = zlib.compress(b"")[:2] + b"\0\0\0\xff\xff" * 1_000_000
    decoder = Decoder(["deflate", "gzip"])
    with pytest.raises(ContentTooLarge, match="16 times"):
        all_of(decoder, gzip.compress(nothing))
    assert decoder.size == 0


def test_content_that_is_coded_twice_for_no_reason_passes() -> None:
    coded = gzip.compress(gzip.compress(TEXT * 5))
    assert all_of(Decoder(["gzip", "gzip"]), coded) == TEXT * 5


@pytest.mark.parametrize("kwargs", [{"max_size": -1}, {"max_ratio": 0.5}, {"max_ratio": float("nan")}])
def test_limits_that_are_none(kwargs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Decoder(["gzip"], **kwargs)  # type: ignore[arg-type]  # that is what is tested


def test_a_decoder_of_nothing() -> None:
    with pytest.raises(ValueError, match="one coding"):
        Decoder([])


@given(st.binary(max_size=300), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_any_split_gives_the_same(data: bytes, step: int, size: int, twice: bool) -> None:
    names = ["gzip", "deflate"] if twice else ["gzip"]
    coded = gzip.compress(data)
    coded = zlib.compress(coded) if twice else coded
    decoder = Decoder(names)
    out = []
    for start in range(0, len(coded), step):
        decoder.feed(coded[start : start + step])
        while piece := decoder.read(size):
            assert len(piece) <= size
            out.append(piece)
    decoder.finish()
    assert b"".join(out) == data


def test_it_shows_itself() -> None:
    decoder = Decoder(["gzip", "deflate"])
    assert repr(decoder) == "<Decoder 0 to 0 bytes <Stage deflate complete> <Stage gzip complete>>"
