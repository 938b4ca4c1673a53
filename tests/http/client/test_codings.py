"""`evkit.http.client.codings`: each coding undone in pieces, to its end and not beyond."""

import gzip
import importlib
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.client import codings as module
from evkit.http.client.codings import Stage, codings
from evkit.http.errors import ContentError


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def _brotli(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.compress(data))


def _zstd_module() -> Any:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return pytest.skip("neither compression.zstd nor backports.zstd is installed")


def _zstd(data: bytes) -> bytes:
    return bytes(_zstd_module().compress(data))


ENCODERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", _brotli),
    ("zstd", _zstd),
]
IDS = ["gzip", "zlib", "raw", "br", "zstd"]
TEXT = b"".join(b"%d, " % number for number in range(5_000))

every_coding = pytest.mark.parametrize(("name", "encode"), ENCODERS, ids=IDS)


@pytest.fixture(autouse=True)
def what_is_installed(request: pytest.FixtureRequest) -> None:
    if "encode" in request.fixturenames:
        callspec = request.node.callspec
        if callspec.params["name"] == "br":
            pytest.importorskip("brotli")
        if callspec.params["name"] == "zstd":
            _zstd_module()


def stage(name: str) -> Stage:
    return Stage(name, codings()[name])


def undo(one: Stage, coded: bytes, *, step: int = 16384, size: int = 65536) -> bytes:
    """Feed in pieces of ``step`` bytes and read pieces of ``size``."""
    out = []
    for start in range(0, len(coded), step):
        one.feed(coded[start : start + step])
        while piece := one.read(size):
            assert len(piece) <= size
            out.append(piece)
    return b"".join(out)


@every_coding
@pytest.mark.parametrize("data", [b"", b"a", TEXT, bytes(300_000)], ids=["none", "one", "text", "zeros"])
@pytest.mark.parametrize(("step", "size"), [(16384, 65536), (16384, 100), (1, 65536), (7, 33)])
def test_it_undoes_what_was_done(
    name: str, encode: Callable[[bytes], bytes], data: bytes, step: int, size: int
) -> None:
    if size < 1000 and len(data) > 100_000:
        data = data[:100_000]
    one = stage(name)
    assert one.complete
    assert undo(one, encode(data), step=step, size=size) == data
    assert one.complete
    assert one.read(10) == b""


@every_coding
def test_what_is_cut_short_is_not_complete(name: str, encode: Callable[[bytes], bytes]) -> None:
    coded = encode(b"some text")
    for end in range(1, len(coded)):
        one = stage(name)
        undo(one, coded[:end])
        assert not one.complete, end


@every_coding
@pytest.mark.parametrize("apart", [False, True])
def test_junk_behind_the_end(name: str, encode: Callable[[bytes], bytes], apart: bool) -> None:
    one = stage(name)
    coded = encode(b"some text")
    with pytest.raises(ContentError):
        undo(one, coded + b"\0junk, and more of it", step=len(coded) if apart else 16384)


@every_coding
def test_nonsense(name: str, encode: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ContentError, match=name):
        undo(stage(name), b"\xff" * 100)


@every_coding
def test_a_flipped_bit_is_found_where_there_is_a_checksum(
    name: str, encode: Callable[[bytes], bytes]
) -> None:
    coded = bytearray(encode(bytes(range(256))))
    coded[-1] ^= 0x40  # in the checksum of gzip and zlib; elsewhere in what stands last
    one = stage(name)
    try:
        out = undo(one, bytes(coded))
    except ContentError:
        return
    assert not one.complete or (encode is not gzip.compress and encode is not zlib.compress)
    assert len(out) <= 512


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_streams_that_follow_one_another_are_one(name: str) -> None:
    """RFC 1952 §2.2; RFC 8878 §3."""
    encode = dict(ENCODERS)[name]
    coded = encode(b"one, ") + encode(b"") + encode(b"two")
    for step in (1, 10, 16384):
        one = stage(name)
        assert undo(one, coded, step=step) == b"one, two"
        assert one.complete


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_coded_bytes_that_come_before_the_others_were_read(name: str) -> None:
    encode = dict(ENCODERS)[name]
    zeros = encode(bytes(10_000))  # skips the test where nobody can
    one = stage(name)
    one.feed(zeros)
    assert one.read(1) == b"\0"
    one.feed(encode(b"x"))
    assert undo(one, encode(b"y"), size=100) == bytes(9_999) + b"xy"


@pytest.mark.parametrize(
    ("name", "encode"),
    [pair for pair in ENCODERS if pair[0] in ("br", "deflate")],
    ids=["zlib", "raw", "br"],
)
def test_streams_that_have_no_business_to_follow(name: str, encode: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ContentError):
        undo(stage(name), encode(b"one") * 2)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_streams_without_content_are_limited(name: str) -> None:
    encode = dict(ENCODERS)[name]
    empty = encode(b"")
    one = stage(name)
    assert undo(one, empty * 100 + encode(b"x")) == b"x"
    with pytest.raises(ContentError, match="without content"):
        undo(stage(name), empty * 102)
    many = stage(name)
    assert undo(many, encode(b"x") * 1000) == b"x" * 1000


@pytest.mark.parametrize("flags", [0x04, 0x08, 0x10, 0x02, 0x1E])
def test_the_optional_parts_of_gzip(flags: int) -> None:
    """RFC 1952 §2.3.1, made by hand: extra field, name, comment, checksum of the header."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    header += b"\x03\x00abc" if flags & 0x04 else b""
    header += b"name\0" if flags & 0x08 else b""
    header += b"comment\0" if flags & 0x10 else b""
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") if flags & 0x02 else b""
    trailer = zlib.crc32(b"text").to_bytes(4, "little") + (4).to_bytes(4, "little")
    assert undo(stage("gzip"), header + raw_deflate(b"text") + trailer, step=1) == b"text"


@pytest.mark.parametrize("place", [-1, -5])
def test_the_trailer_of_gzip_is_checked(place: int) -> None:
    coded = bytearray(gzip.compress(b"text"))
    coded[place] ^= 1
    with pytest.raises(ContentError, match="gzip"):
        undo(stage("gzip"), bytes(coded))


def test_a_preset_dictionary_is_nobodys() -> None:
    compressor = zlib.compressobj(zdict=b"text")
    with pytest.raises(ContentError, match="deflate"):
        undo(stage("deflate"), compressor.compress(b"text") + compressor.flush())


def test_a_window_that_is_too_large() -> None:
    """RFC 9659 §3: more than 8 MiB would be the server's choice of the client's memory."""
    zstd = _zstd_module()
    data = bytes(20_000_000)
    for log, allowed in ((23, True), (24, False)):
        compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: log})
        coded = compressor.compress(data) + compressor.flush()
        if allowed:
            assert undo(stage("zstd"), coded) == data
        else:
            with pytest.raises(ContentError, match="zstd"):
                undo(stage("zstd"), coded)


@every_coding
def test_a_bomb_goes_off_slowly(name: str, encode: Callable[[bytes], bytes]) -> None:
    one = stage(name)
    one.feed(encode(bytes(10_000_000))[:16384])
    for _ in range(20):
        assert 0 < len(one.read(1000)) <= 1000


@given(st.binary(max_size=200), st.integers(1, 50), st.integers(1, 50), st.integers(0, 4))
def test_any_split_gives_the_same(data: bytes, step: int, size: int, which: int) -> None:
    name, encode = ENCODERS[which]
    if name in codings():
        assert undo(stage(name), encode(data), step=step, size=size) == data


@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate", "br", "zstd"]))
def test_whatever_comes(data: bytes, name: str) -> None:
    if name in codings():
        try:
            undo(stage(name), data)
        except ContentError:
            pass


# What is installed


@pytest.fixture
def anew() -> Any:
    """Look for packages again, now and after the test."""
    codings.cache_clear()
    yield
    codings.cache_clear()


@pytest.mark.usefixtures("anew")
def test_without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_module", lambda name: None)
    assert list(codings()) == ["gzip", "deflate"]


@pytest.mark.usefixtures("anew")
def test_a_brotli_that_can_not_be_stopped_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.2: CVE-2025-6176."""
    old = SimpleNamespace(Decompressor=object, error=ValueError)
    monkeypatch.setattr(module, "_module", lambda name: old if name == "brotli" else None)
    assert "br" not in codings()


def test_what_is_missing_is_missing() -> None:
    assert module._module("evkit_has_no_such_package") is None


def test_it_shows_itself() -> None:
    one = stage("gzip")
    assert repr(one) == "<Stage gzip complete>"
    one.feed(b"\x1f")
    assert repr(one) == "<Stage gzip open>"
