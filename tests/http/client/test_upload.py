"""`evkit.http.client.upload`: what may be a body, how long it is, and its bytes as there is room for them."""

import gzip
import io
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.client.request_fields import CHUNKED
from evkit.http.client.upload import ROOM, FileUpload, PiecewiseUpload, Upload, WholeUpload, as_upload
from evkit.http.parser.chunked import ChunkedReader
from evkit.http.parser.contract import Limits
from http_server_aids import count_descriptors


def sent(upload: Upload) -> bytes:
    """Write all of an upload, as fast as a server takes it that is always ready."""
    upload.begin()
    data, output = b"", Buffer()
    for _ in range(10_000):
        complete = write(upload, output)
        data += output.remove()
        if complete:
            return data
    raise AssertionError("it never ends")


def write(upload: Upload, output: Buffer) -> bool:
    return upload.write(output, never)


def never() -> None:
    raise AssertionError("nobody asks for this body to be pushed")


def unchunked(data: bytes) -> bytes:
    source, sink = Buffer(), Buffer()
    source.add(data)
    assert ChunkedReader(Limits()).read(source, sink, None)
    assert not source
    return sink.remove()


# What there is


@pytest.mark.parametrize("body", [b"abc", bytearray(b"abc"), memoryview(b"abc"), "abc"])
def test_bytes_and_text_are_sent_as_they_are(body: Any) -> None:
    upload = as_upload(body)
    assert isinstance(upload, WholeUpload)
    assert (upload.length, upload.repeatable) == (3, True)
    assert sent(upload) == sent(upload) == b"abc"


def test_text_is_utf8() -> None:
    assert sent(as_upload("ä€")) == b"\xc3\xa4\xe2\x82\xac"


def test_bytes_are_those_of_the_call() -> None:
    """Who changes them afterwards changes nothing."""
    body = bytearray(b"abc")
    upload = as_upload(body)
    body[:] = b"xyz"
    assert sent(upload) == b"abc"


def test_an_empty_body() -> None:
    upload = as_upload(b"")
    assert upload.length == 0
    assert sent(upload) == b""


def test_a_file_goes_from_its_position_on_and_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with open(path, "rb") as file:
        file.seek(3)
        before = count_descriptors()
        upload = as_upload(file)
        assert isinstance(upload, FileUpload)
        assert (upload.length, upload.repeatable) == (7, True)
        assert sent(upload) == sent(upload) == b"3456789"
        assert file.tell() == 3
        assert not file.closed
        assert count_descriptors() == before


def test_a_file_without_a_buffer(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with open(path, "rb", buffering=0) as file:
        upload = as_upload(file)
        assert isinstance(upload, FileUpload)
        assert sent(upload) == b"0123456789"


def test_what_was_written_to_a_file_is_a_part_of_it(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"0123456789")
        file.seek(2)
        file.write(b"!")
        file.seek(0)
        file.read(1)
        assert sent(as_upload(file)) == b"1!3456789"


def test_a_file_beyond_its_end(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w+b") as file:
        file.seek(10)
        upload = as_upload(file)
        assert upload.length == 0
        assert sent(upload) == b""


def test_a_file_that_was_closed_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with open(path, "rb") as file:
        upload = as_upload(file)
    with pytest.raises(ValueError, match="closed"):
        write(upload, Buffer())


def test_a_file_that_became_shorter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with open(path, "rb") as file:
        upload = as_upload(file)
        os.truncate(path, 1)
        before = count_descriptors()
        with pytest.raises(ValueError, match="bytes"):
            write(upload, Buffer())
        assert count_descriptors() == before


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_file_that_is_not_open_for_reading(tmp_path: Path, mode: str) -> None:
    with open(tmp_path / "file", mode) as file, pytest.raises(ValueError, match="open for reading"):
        as_upload(file)


def test_a_file_that_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with open(path, "rb") as file:
        pass
    with pytest.raises(ValueError, match="closed"):
        as_upload(file)


def test_what_shows_something_else_than_its_descriptor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(b"plain"))
    with gzip.open(path) as file:
        upload = as_upload(file)  # type: ignore[arg-type]  # open() of gzip may also return text
        assert (upload.length, upload.repeatable) == (CHUNKED, False)
        assert unchunked(sent(upload)) == b"plain"


def test_a_file_in_memory_and_one_of_text(tmp_path: Path) -> None:
    assert unchunked(sent(as_upload(io.BytesIO(b"abc" * 50_000)))) == b"abc" * 50_000
    path = tmp_path / "file"
    path.write_text("ä" * 40_000, encoding="utf-8")
    with open(path, encoding="utf-8") as file:
        assert unchunked(sent(as_upload(file))) == "ä".encode() * 40_000
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(b"abc")
        spooled.seek(1)
        assert unchunked(sent(as_upload(spooled))) == b"bc"  # type: ignore[arg-type]  # it is bytes by default


def test_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"abc")
    os.close(writing)
    with open(reading, "rb") as file:
        upload = as_upload(file)
        assert upload.length == CHUNKED
        assert unchunked(sent(upload)) == b"abc"


def test_a_pipe_that_has_nothing_yet() -> None:
    """Whoever does not block would end the body there, in silence."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with open(reading, "rb", buffering=0) as file, open(writing, "wb", buffering=0) as end:
        end.write(b"abc")
        upload = as_upload(file)
        upload.begin()
        output = Buffer()
        with pytest.raises(BlockingIOError):
            write(upload, output)
        assert b"\r\n0\r\n" not in output.remove()


@pytest.mark.parametrize("body", [5, None, object(), {"a": "b"}, 1.5])
def test_what_is_no_body(body: Any) -> None:
    with pytest.raises(TypeError, match="expected a body"):
        as_upload(body)


# In pieces


@given(st.lists(st.text(max_size=100)), st.integers(0, 3))
def test_pieces_go_out_in_chunks(texts: list[str], every: int) -> None:
    """Bytes and text, mixed. (Drawn apart Hypothesis would compare one with the other.)"""
    pieces = [text if number % 4 <= every else text.encode() for number, text in enumerate(texts)]
    upload = as_upload(pieces)
    assert (upload.length, upload.repeatable) == (CHUNKED, True)
    assert unchunked(sent(upload)) == unchunked(sent(upload)) == "".join(texts).encode()


@given(st.lists(st.binary(max_size=100)))
def test_pieces_of_a_known_length_go_out_plain(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    upload = as_upload(iter(pieces), len(whole))
    assert (upload.length, upload.repeatable) == (len(whole), False)
    assert sent(upload) == whole


def test_no_more_is_asked_for_than_there_is_room_for() -> None:
    asked = []

    def pieces() -> Iterator[bytes]:
        for number in range(1000):
            asked.append(number)
            yield bytes(ROOM // 4)

    upload, output = as_upload(pieces()), Buffer()
    upload.begin()
    assert not write(upload, output)
    assert len(asked) == 4
    assert not write(upload, output)
    assert len(asked) == 4
    output.drain(ROOM // 2)
    write(upload, output)
    assert len(asked) == 6


@pytest.mark.parametrize(("said", "came"), [(5, [b"abc", b"def"]), (0, [b"a"]), (2, [b"abc"])])
def test_longer_than_said(said: int, came: list[bytes]) -> None:
    upload, output = as_upload(iter(came), said), Buffer()
    upload.begin()
    with pytest.raises(LocalProtocolError, match="longer"):
        write(upload, output)
    assert len(output) <= said


def test_shorter_than_said() -> None:
    upload = as_upload(iter([b"abc"]), 5)
    upload.begin()
    with pytest.raises(LocalProtocolError, match="ended 2 bytes before"):
        write(upload, Buffer())


@pytest.mark.parametrize("body", [b"abc", "abc"])
def test_a_length_that_is_not_the_body_s(body: Any) -> None:
    with pytest.raises(LocalProtocolError, match="3 bytes"):
        as_upload(body, 4)
    assert as_upload(body, 3).length == 3


def test_a_length_that_is_not_the_file_s(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with open(path, "rb") as file, pytest.raises(LocalProtocolError, match="3 bytes"):
        as_upload(file, 2)


@pytest.mark.parametrize("piece", [None, 5, ["a"], object()])
def test_a_piece_that_is_none(piece: Any) -> None:
    """``None`` among them is not the end, either."""
    upload, output = as_upload(iter([b"a", piece, b"b"])), Buffer()
    upload.begin()
    with pytest.raises(TypeError, match="piece of a body"):
        write(upload, output)
    assert b"\r\n0\r\n" not in output.remove()


def test_what_an_iterator_raises_passes_through() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"a"
        raise ZeroDivisionError

    upload = as_upload(pieces())
    upload.begin()
    with pytest.raises(ZeroDivisionError):
        write(upload, Buffer())


class Numbers:
    """What can be gone through again; counts how often it is."""

    def __init__(self) -> None:
        self.times = 0

    def __iter__(self) -> Iterator[bytes]:
        self.times += 1
        return iter([b"1", b"2"])


def test_what_can_be_sent_again_begins_anew() -> None:
    numbers = Numbers()
    upload = as_upload(numbers)
    assert upload.repeatable
    assert numbers.times == 0  # to ask whether it can be repeated begins nothing
    assert unchunked(sent(upload)) == unchunked(sent(upload)) == b"12"
    assert numbers.times == 2


def test_pieces_that_are_empty_for_ever() -> None:
    """They would never fill anything, and the loop would never turn again."""
    upload = as_upload(itertools.repeat(b""))
    upload.begin()
    with pytest.raises(LocalProtocolError, match="empty"):
        write(upload, Buffer())


def test_many_empty_pieces_in_between() -> None:
    pieces = [b"", *([b""] * 500 + [b"abc"]) * 100, b""]
    assert unchunked(sent(as_upload(pieces))) == b"abc" * 100


# The end


def closing(log: list[str]) -> Iterator[bytes]:
    try:
        while True:
            yield b"abc"
    finally:
        log.append("closed")


def test_close_closes_a_generator() -> None:
    log: list[str] = []
    upload, output = as_upload(closing(log)), Buffer()
    upload.begin()
    write(upload, output)
    upload.close()
    assert log == ["closed"]
    output.clear()
    assert not write(upload, output)
    assert not output
    upload.close()
    assert log == ["closed"]


@pytest.mark.parametrize("body", [b"abc", [b"abc"]])
def test_close_of_others_is_harmless(body: Any) -> None:
    upload = as_upload(body)
    upload.close()
    upload.begin()
    upload.close()
    assert b"abc" in sent(upload)


def test_close_of_a_file_leaves_it_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with open(path, "rb") as file:
        upload = as_upload(file)
        upload.begin()
        upload.close()
        assert file.read() == b"abc"


def test_a_generator_that_closes_its_own_upload() -> None:
    """It cancels the request, say: it is asked for nothing more, and closed when it has given its piece."""
    log: list[str] = []

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                log.append("asked")
                upload.close()
                yield b"abc"
        finally:
            log.append("closed")

    upload: PiecewiseUpload = PiecewiseUpload(pieces(), CHUNKED)
    output = Buffer()
    upload.begin()
    assert not write(upload, output)
    assert log == ["asked", "closed"]
    assert not output


def test_what_closing_raises_passes_through() -> None:
    def pieces() -> Iterator[bytes]:
        try:
            yield b"abc"
            yield b"abc"
        finally:
            raise ZeroDivisionError

    upload = as_upload(pieces(), 6)
    upload.begin()
    output = Buffer()
    output.add(bytes(ROOM - 1))
    assert not write(upload, output)
    with pytest.raises(ZeroDivisionError):
        upload.close()
