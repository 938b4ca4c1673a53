"""`Intake`: bytes that come in any pieces, decoded into whole objects, with bounded memory and work.

A decider. Small messages go straight into a decoder, many at once; one that does not fit into a read is walked over
first, undecoded, so that what it declares is refused before anything is made of it. It knows nothing of what a message
means.
"""

from typing import Final

from evkit.core.buffer.segments import Readable
from evkit.rpc.errors import RPCProtocolError
from evkit.rpc.protocol.codec import Unpacker, decode_failure
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.scan import ScanError, Scanner

LARGEST_READ: Final = 98304
"""Bytes that are decoded without a look at them first, and what a read is to ask for: a message of 64 KiB comes in one.
The worst of them, empty maps, become 6 MiB of objects. From 128 KiB on malloc would map each read."""
_SMALL_PIECE: Final = 4096
"""Bytes of a piece of a large message under which it is put to the one before: a view takes more room than they do."""
_SUSPECT: Final = 16384
"""Bytes of a read from which on its first message is looked at, unless the one before was whole: a large one of which
there is a part is to be copied as rarely as can be."""


class Intake:
    """The decoding half of a session.

    Args:
        coders: What decodes, and the limits.

    Attributes:
        received: Bytes that have come since the connection began.
        error: What was wrong with them. Nothing is decoded any more then: what follows may be the inside of a string.
    """

    __slots__ = (
        "_coders",
        "_patient",
        "_pieces",
        "_scanner",
        "_shift",
        "_small",
        "_start",
        "_tail",
        "_unpacker",
        "_whole",
        "error",
        "received",
    )

    def __init__(self, coders: Coders) -> None:
        limits = coders.limits
        self._coders = coders
        self._small = min(LARGEST_READ, limits.max_message, limits.max_elements)
        self._unpacker: Unpacker | None = None  # what has the beginning of a small message
        self._patient = False  # whether that is a patient one: see `codec.make_unpacker`
        self._shift = 0  # what to add to its position for one on the connection
        self._tail = b""  # that beginning
        self._whole = False  # whether the last large message that fits into a read has come in one
        self._scanner: Scanner | None = None  # of a large message
        self._start = 0  # where that begins
        self._pieces: list[Readable] = []  # what has come of it
        self.received = 0
        self.error: RPCProtocolError | None = None

    @property
    def partial(self) -> bool:
        """Whether a message has begun and is not whole."""
        return bool(self._tail) or self._scanner is not None

    @property
    def partial_start(self) -> int:
        """Where that begins, in bytes since the connection began."""
        return self._start if self._scanner is not None else self.received - len(self._tail)

    def take(self, data: Readable, messages: list[object], ends: list[int]) -> None:
        """Decode what has come.

        Args:
            data: The next bytes.
            messages: Gets the objects that are whole now.
            ends: Gets the position after each of them, in bytes since the connection began.
        """
        size = len(data)
        if (
            (size < _SUSPECT or self._whole)
            and size + len(self._tail) <= self._small
            and self._scanner is None
        ):
            if self.error is None and not (size >= _SUSPECT and self._decode_one(data, messages, ends)):
                self._decode(data, messages, ends)
            return
        view = memoryview(data).cast("B")
        for start in range(0, size, self._small):
            if self.error is None:
                self._take_much(view[start : start + self._small], messages, ends)

    def fail(self, reason: str, offset: int) -> None:
        """Decode nothing more: what is wrong begins at ``offset``."""
        if self.error is None or offset < self.error.offset:  # the first, however the bytes were cut
            self.error = RPCProtocolError(reason, offset)
        self._unpacker = self._scanner = None
        self._tail = b""
        self._pieces = []

    # Small messages

    def _decode(self, data: Readable, messages: list[object], ends: list[int]) -> None:
        unpacker, first = self._unpacker, len(messages)
        if unpacker is None:
            unpacker = self._coders.borrow()
            self._shift = self.received - unpacker.tell()
        shift, tell, end = self._shift, unpacker.tell, self.received - len(self._tail)
        self.received += len(data)
        try:
            unpacker.feed(data)
            for message in unpacker:
                messages.append(message)
                end = tell() + shift
                ends.append(end)
        except Exception as exception:  # of many kinds, and a decoder that has failed is no good any more
            if self._patient:
                self.fail(decode_failure(exception), tell() + shift)
            else:
                del messages[first:], ends[first:]
                self._decode_patiently(data, messages, ends)
            return
        left = self.received - end
        if left:
            self._whole = self._whole and left < _SUSPECT
            self._unpacker = unpacker
            self._tail = bytes(data[-left:]) if left <= len(data) else self._tail + data
            return
        self._unpacker = None
        self._tail = b""
        if self._patient:
            self._patient = False
        else:
            self._coders.give_back(unpacker)

    def _decode_patiently(self, data: Readable, messages: list[object], ends: list[int]) -> None:
        """Decode anew what the quick decoder has refused, with what it has of the first message."""
        whole, self._tail = self._tail + data, b""
        self.received -= len(whole)
        self._unpacker, self._shift = self._coders.make_unpacker(patient=True), self.received
        self._patient = True
        self._decode(whole, messages, ends)

    def _decode_one(self, data: Readable, messages: list[object], ends: list[int]) -> bool:
        """Decode what is one message, and return whether it is; what else it may be, the decoder will say."""
        if self._tail:
            return False
        try:
            messages.append(self._coders.unpack(data))
        except Exception:  # as above
            return False
        self.received += len(data)
        ends.append(self.received)
        return True

    # Large ones

    def _take_much(self, view: memoryview, messages: list[object], ends: list[int]) -> None:
        """Take what may be decoded unseen, or be a part of a large message: at most ``_small`` bytes."""
        if self._scanner is None:
            if self._tail and len(self._tail) + len(view) <= self._small:
                self._decode(view, messages, ends)
                return
            self._begin_scanning()
        end = self._scan(view)
        if end < 0:
            self._keep(view)
            self.received += len(view)
        elif self._pieces:
            self._decode_large(view[:end], messages, ends)
            if end < len(view) and self.error is None:
                self._decode(view[end:], messages, ends)
        elif self.error is None:  # it ends in here, and began in here, too
            self._scanner = None
            self._whole = True
            self._decode(view, messages, ends)

    def _keep(self, view: memoryview) -> None:
        """Keep a piece of a large message."""
        if len(view) >= _SMALL_PIECE:
            self._pieces.append(view)
        elif self._pieces and isinstance(last := self._pieces[-1], bytearray):
            last += view
        else:
            self._pieces.append(bytearray(view))

    def _begin_scanning(self) -> None:
        """Look at the message that is under way, or at the next, without decoding it."""
        tail, self._tail = self._tail, b""
        self._unpacker = None  # what it has of the message is decoded anew
        self._patient = False
        self._scanner = Scanner(self._coders.limits)
        self._start = self.received - len(tail)
        if tail and self._scan(tail) < 0:
            self._pieces.append(tail)

    def _scan(self, data: Readable) -> int:
        scanner = self._scanner
        if scanner is None:
            return 0
        try:
            return scanner.scan(data)
        except ScanError as error:
            self.fail(error.reason, self._start + error.offset)
            return 0

    def _decode_large(self, last: memoryview, messages: list[object], ends: list[int]) -> None:
        if not any(self._try_large(last, messages, patient=patient) for patient in (False, True)):
            return
        self.received += len(last)
        ends.append(self.received)
        self._scanner = None
        self._pieces = []

    def _try_large(self, last: memoryview, messages: list[object], *, patient: bool) -> bool:
        """Decode the large message; return whether it could be. What the patient decoder refuses is wrong."""
        # It keeps the room that it needed once, and so is not kept.
        unpacker = self._coders.make_unpacker(patient=patient)
        try:
            for piece in self._pieces:
                unpacker.feed(piece)
            unpacker.feed(last)
            messages.append(next(unpacker))
        except Exception as exception:  # as above
            if patient:
                self.fail(decode_failure(exception), self._start + unpacker.tell())
            return False
        return True
