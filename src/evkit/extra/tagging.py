"""Tagged data in a buffer, as libevent's event_tagging writes and reads them, byte for byte.

A field is a tag, the length of its payload as an integer, and the payload. Each function here adds one field, or a part
of one, to the back of a `Buffer`, or takes one off its front.

Whatever fails has changed nothing. (libevent has drained the tag and the length of a field by the time it finds that
it is another than expected, or that its payload is not all there.) `TagIncomplete` says that more bytes may help;
any other `TagError` that none will. No declared length allocates anything: bytes are taken once all are there, and a
payload longer than the limit is refused as soon as its length can be read.

This module knows nothing of connections, and of messages no more than `unmarshal` of their payload.
"""

from contextlib import suppress
from typing import Final

from evkit.core.buffer import Buffer
from evkit.core.buffer.segments import Readable
from evkit.extra.errors import TagError, TagIncomplete
from evkit.extra.tag_integers import (
    MAX_INT64_SIZE,
    MAX_INT_SIZE,
    MAX_TAG_SIZE,
    int_bytes,
    read_int,
    read_last_int,
    read_tag,
    tag_bytes,
)

DEFAULT_MAX_PAYLOAD: Final = 4 << 20
"""Bytes. libevent takes up to 2**31."""
_MAX_HEADER: Final = MAX_TAG_SIZE + MAX_INT_SIZE


def encode_tag(buffer: Buffer, tag: int) -> int:
    """Add a tag alone.

    Args:
        buffer: What it is added to.
        tag: ``0 <= tag < 2**32``.

    Returns:
        Bytes added, 1 to 5.

    Raises:
        TypeError: ``tag`` is no integer.
        ValueError: It is out of range.

    Source: ``evtag_encode_tag``.
    """
    return _add(buffer, tag_bytes(tag))


def encode_int(buffer: Buffer, number: int) -> int:
    """Add an integer alone, ``0 <= number < 2**32``; else as `encode_tag`. Source: ``evtag_encode_int``."""
    return _add(buffer, int_bytes(number))


def encode_int64(buffer: Buffer, number: int) -> int:
    """Add an integer alone, ``0 <= number < 2**64``; else as `encode_tag`. Source: ``evtag_encode_int64``."""
    return _add(buffer, int_bytes(number, 64))


def _add(buffer: Buffer, data: bytes) -> int:
    buffer.add(data)
    return len(data)


# Fields


def marshal(buffer: Buffer, tag: int, data: Readable) -> None:
    """Add a field whose payload is ``data``.

    Args:
        buffer: What it is added to.
        tag: ``0 <= tag < 2**32``.
        data: Up to ``2**32 - 1`` bytes.

    Raises:
        TypeError: ``tag`` is no integer, or ``data`` are no bytes.
        ValueError: ``tag`` is out of range, or there are too many ``data``.

    Source: ``evtag_marshal``.
    """
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    buffer.add_iovec((tag_bytes(tag) + int_bytes(size), data))


def marshal_buffer(buffer: Buffer, tag: int, data: Buffer) -> None:
    """Add a field whose payload is all that ``data`` has, which is moved without copying.

    Raises:
        TypeError: ``tag`` is no integer, or ``data`` no buffer.
        ValueError: ``tag`` is out of range, ``data`` is ``buffer``, or has more than ``2**32 - 1`` bytes.

    Source: ``evtag_marshal_buffer``.
    """
    if data is buffer:
        raise ValueError("a buffer cannot be its own payload")
    prefix, header, whole = tag_bytes(tag), b"", Buffer()
    try:
        # By way of a buffer of its own, so that no two locks are held at once.
        whole.add_buffer(data)
        header = prefix + int_bytes(whole.length)
        whole.prepend(header)
        buffer.add_buffer(whole)
    finally:
        if whole:  # it was refused
            whole.drain(len(header))
            data.prepend_buffer(whole)


def marshal_int(buffer: Buffer, tag: int, number: int) -> None:
    """Add a field with a number, ``0 <= number < 2**32``; else as `marshal`. Source: ``evtag_marshal_int``."""
    marshal(buffer, tag, int_bytes(number))


def marshal_int64(buffer: Buffer, tag: int, number: int) -> None:
    """Add a field with a number, ``0 <= number < 2**64``; else as `marshal`. Source: ``evtag_marshal_int64``."""
    marshal(buffer, tag, int_bytes(number, 64))


def marshal_string(buffer: Buffer, tag: int, text: str) -> None:
    """Add a field with text, in UTF-8.

    Raises:
        TypeError: ``text`` is no string.
        ValueError: It has a NUL, at which it would end for a peer in C, or what UTF-8 cannot tell. `marshal` takes
            any bytes.

    Source: ``evtag_marshal_string``.
    """
    marshal(buffer, tag, text_bytes(text))


def text_bytes(text: str) -> bytes:
    """Encode text. See `marshal_string` for what it raises."""
    if not isinstance(text, str):
        raise TypeError(f"expected str, got {type(text).__name__}")
    if "\0" in text:
        raise ValueError("expected text without NUL, at which it would end for a peer in C")
    return text.encode()


def marshal_timeval(buffer: Buffer, tag: int, seconds: float) -> None:
    """Add a field with a time, or a duration.

    Args:
        buffer: What it is added to.
        tag: ``0 <= tag < 2**32``.
        seconds: ``0 <= seconds < 2**32``, rounded to microseconds.

    Raises:
        ValueError: ``tag`` or ``seconds`` is out of range, or ``seconds`` are no number or infinite.

    Source: ``evtag_marshal_timeval``.
    """
    # The fraction first: a float has room for the microseconds of 2**32 s, but not for an error on top.
    whole, microseconds = divmod(round(seconds % 1 * 1_000_000), 1_000_000)
    whole += int(seconds // 1)
    marshal(buffer, tag, int_bytes(whole) + int_bytes(microseconds))


# Looking, and taking a part


def peek(buffer: Buffer) -> int | None:
    """Look at the tag of the first field.

    Returns:
        It; ``None`` as long as it is not all there.

    Raises:
        TagError: It has more than 32 bits.

    Source: ``evtag_peek``, which returns its size.
    """
    data = look(buffer, MAX_TAG_SIZE)
    with suppress(TagIncomplete):
        return read_tag(data, 0, len(data))[0]
    return None


def payload_length(buffer: Buffer) -> int | None:
    """Look at how long the payload of the first field says it is, whether or not it is there.

    Returns:
        Bytes; ``None`` as long as that cannot be told.

    Raises:
        TagError: Its tag or its length has more than 32 bits.

    Source: ``evtag_payload_length``.
    """
    with suppress(TagIncomplete):
        return _header(buffer)[2]
    return None


def peek_length(buffer: Buffer) -> int | None:
    """Look at how long the whole first field is, with its tag and length; else as `payload_length`.

    There is a whole field once ``len(buffer)`` is not less.

    Source: ``evtag_peek_length``.
    """
    with suppress(TagIncomplete):
        _, start, size = _header(buffer)
        return start + size
    return None


def decode_tag(buffer: Buffer) -> int:
    """Take a tag alone off the front.

    Raises:
        TagIncomplete: It is not all there.
        TagError: It has more than 32 bits.

    Source: ``evtag_decode_tag``.
    """
    with buffer.lock:
        data = look(buffer, MAX_TAG_SIZE)
        tag, size = read_tag(data, 0, len(data))
        buffer.drain(size)
        return tag


def decode_int(buffer: Buffer) -> int:
    """Take an integer of at most 32 bits alone off the front; else as `decode_tag`. Source: ``evtag_decode_int``."""
    return _take_int(buffer, MAX_INT_SIZE, 32)


def decode_int64(buffer: Buffer) -> int:
    """Take an integer of at most 64 bits alone off the front; else as `decode_tag`. Source: ``evtag_decode_int64``."""
    return _take_int(buffer, MAX_INT64_SIZE, 64)


def _take_int(buffer: Buffer, most: int, bits: int) -> int:
    with buffer.lock:
        data = look(buffer, most)
        number, size = read_int(data, 0, len(data), bits)
        buffer.drain(size)
        return number


def look(buffer: Buffer, size: int) -> bytes:
    """Return the first ``size`` bytes, or what there is of them."""
    return b"".join(buffer.peek(size))


def _header(buffer: Buffer, need_tag: int | None = None) -> tuple[int, int, int]:
    """Return the tag of the first field, where its payload begins, and how long that is."""
    data = look(buffer, _MAX_HEADER)
    tag, at = read_tag(data, 0, len(data))
    if need_tag is not None and tag != need_tag:
        raise TagError(f"expected tag {need_tag}, got {tag}", 0)
    size, start = read_int(data, at, len(data))
    return tag, start, size


def whole_field(
    buffer: Buffer, need_tag: int | None = None, max_payload: int | None = DEFAULT_MAX_PAYLOAD
) -> tuple[int, int, int]:
    """Look at the first field, which must be all there.

    Returns:
        Its tag, where its payload begins, and how long that is.

    Raises:
        TagIncomplete: It is not all there.
        TagError: Its tag is not ``need_tag``, its tag or its length has more than 32 bits, or its payload is too long.
    """
    tag, start, size = _header(buffer, need_tag)
    if max_payload is not None and size > max_payload:
        raise TagError(f"expected a payload of at most {max_payload} bytes, got one of {size}", start)
    _check_all_there(buffer, start, size)
    return tag, start, size


def _check_all_there(buffer: Buffer, start: int, size: int) -> None:
    if buffer.length < start + size:
        raise TagIncomplete(f"expected a payload of {size} bytes, got {buffer.length - start} of them", start)


# Taking a field


def unmarshal_header(buffer: Buffer, *, max_payload: int | None = DEFAULT_MAX_PAYLOAD) -> tuple[int, int]:
    """Take the tag and the length of a field off the front, once its payload is all there.

    What follows is the payload: ``buffer.remove_buffer(target, size)`` moves it without copying.

    Args:
        buffer: What it is taken from.
        max_payload: Most bytes that the payload may have; ``None``: no limit.

    Returns:
        The tag, and the bytes of the payload.

    Raises:
        TagIncomplete: The field is not all there.
        TagError: Its tag or its length has more than 32 bits, or its payload is too long.

    Source: ``evtag_unmarshal_header``.
    """
    with buffer.lock:
        tag, start, size = whole_field(buffer, None, max_payload)
        buffer.drain(start)
        return tag, size


def unmarshal(buffer: Buffer, *, max_payload: int | None = DEFAULT_MAX_PAYLOAD) -> tuple[int, bytes]:
    """Take a field of any tag off the front: its tag, and its payload. Else as `unmarshal_header`.

    Source: ``evtag_unmarshal``.
    """
    with buffer.lock:
        tag, start, size = whole_field(buffer, None, max_payload)
        return tag, buffer.remove(start + size)[start:]


def consume(buffer: Buffer, *, max_payload: int | None = DEFAULT_MAX_PAYLOAD) -> int:
    """Drop a field of any tag off the front, and return how many bytes that were. Else as `unmarshal_header`.

    Source: ``evtag_consume``.
    """
    with buffer.lock:
        _, start, size = whole_field(buffer, None, max_payload)
        return buffer.drain(start + size)


def unmarshal_int(buffer: Buffer, need_tag: int) -> int:
    """Take a field with a number of at most 32 bits off the front.

    Args:
        buffer: What it is taken from.
        need_tag: The tag that it must have.

    Raises:
        TagIncomplete: The field is not all there.
        TagError: Its tag is another; its payload is no such number, or longer than `DEFAULT_MAX_PAYLOAD`. What else
            there is in the payload after the number is dropped, as libevent does.

    Source: ``evtag_unmarshal_int``.
    """
    return _unmarshal_numbers(buffer, need_tag, 1, 32)[0]


def unmarshal_int64(buffer: Buffer, need_tag: int) -> int:
    """Take a field with a number of at most 64 bits; else as `unmarshal_int`. Source: ``evtag_unmarshal_int64``."""
    return _unmarshal_numbers(buffer, need_tag, 1, 64)[0]


def unmarshal_timeval(buffer: Buffer, need_tag: int) -> float:
    """Take a field with a time off the front; else as `unmarshal_int`.

    Returns:
        Seconds. More than a million microseconds are taken for what they are, as libevent does.

    Source: ``evtag_unmarshal_timeval``.
    """
    seconds, microseconds = _unmarshal_numbers(buffer, need_tag, 2, 32)
    return (seconds * 1_000_000 + microseconds) / 1_000_000  # of whole numbers: rounded once


def _unmarshal_numbers(buffer: Buffer, need_tag: int, count: int, bits: int) -> list[int]:
    with buffer.lock:
        _, at, size = whole_field(buffer, need_tag)
        field = at + size
        # The payload may be longer than its numbers, and what is dropped need not be looked at.
        data = look(buffer, min(field, at + count * MAX_INT64_SIZE))
        numbers = []
        for _ in range(count):
            number, at = read_last_int(data, at, len(data), bits)
            numbers.append(number)
        buffer.drain(field)
        return numbers


def unmarshal_string(buffer: Buffer, need_tag: int, *, max_payload: int | None = DEFAULT_MAX_PAYLOAD) -> str:
    """Take a field with text off the front, a NUL in it included.

    Args:
        buffer: What it is taken from.
        need_tag: The tag that it must have.
        max_payload: Most bytes that the payload may have; ``None``: no limit.

    Raises:
        TagIncomplete: The field is not all there.
        TagError: Its tag is another, it is too long, or not UTF-8. (`unmarshal` gives the bytes.)

    Source: ``evtag_unmarshal_string``, which knows no encoding.
    """
    with buffer.lock:
        _, start, size = whole_field(buffer, need_tag, max_payload)
        data = look(buffer, start + size)
        text = read_text(data, start, start + size)
        buffer.drain(start + size)
        return text


def read_text(data: bytes, start: int, end: int) -> str:
    """Decode the text that ``data[start:end]`` are.

    Raises:
        TagError: They are not UTF-8.
    """
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as exc:
        raise TagError(f"expected UTF-8, got byte {data[start + exc.start]:#04x}", start + exc.start) from exc


def unmarshal_fixed(buffer: Buffer, need_tag: int, size: int) -> bytes:
    """Take a field of exactly ``size`` bytes off the front.

    Args:
        buffer: What it is taken from.
        need_tag: The tag that it must have.
        size: Bytes of its payload, ``>= 0``.

    Raises:
        TagIncomplete: The field is not all there.
        TagError: Its tag or its size is another.

    Source: ``evtag_unmarshal_fixed``.
    """
    with buffer.lock:
        _, start, length = _header(buffer, need_tag)
        if length != size:
            raise TagError(f"expected a payload of {size} bytes, got one of {length}", start)
        _check_all_there(buffer, start, size)
        return buffer.remove(start + size)[start:]
