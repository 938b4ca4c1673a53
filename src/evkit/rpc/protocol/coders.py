"""`Coders`: the encoder and the decoders that the sessions of one server or client share.

An encoder is only used within one call, and a decoder takes 40 KiB, so that a connection that has nothing half read
has none. It knows nothing of what is encoded.
"""

import codecs

from evkit.rpc.limits import Limits
from evkit.rpc.protocol.codec import Unpacker, make_packer, make_unpack, make_unpacker


class Coders:
    """What encodes and decodes.

    For the sessions of one thread.

    Args:
        limits: Of what is decoded.
        unicode_errors: What to do with text that is not UTF-8, as ``bytes.decode`` has it.

    Attributes:
        limits: As given.
        pack: ``pack(value)`` encodes one object.
        unpack: ``unpack(data)`` decodes the bytes of one object, and raises for any others.

    Raises:
        ValueError: ``unicode_errors`` is not known.
    """

    __slots__ = ("_spare", "_unicode_errors", "limits", "pack", "unpack")

    def __init__(self, limits: Limits, *, unicode_errors: str = "strict") -> None:
        _check_unicode_errors(unicode_errors)
        self.limits = limits
        self.pack = make_packer()
        self.unpack = make_unpack(limits, unicode_errors)
        self._unicode_errors = unicode_errors
        self._spare: Unpacker | None = self.make_unpacker()

    def make_unpacker(self, *, patient: bool = False) -> Unpacker:
        """Make a decoder that has decoded nothing; see `codec.make_unpacker` for ``patient``."""
        return make_unpacker(self.limits, self._unicode_errors, patient=patient)

    def borrow(self) -> Unpacker:
        """Give a decoder that has nothing half read."""
        unpacker, self._spare = self._spare, None
        return unpacker or self.make_unpacker()

    def give_back(self, unpacker: Unpacker) -> None:
        """Take one back that has nothing half read, and has not failed."""
        self._spare = unpacker


def _check_unicode_errors(name: str) -> None:
    try:
        codecs.lookup_error(name)
    except LookupError:
        raise ValueError(f"expected unicode_errors as bytes.decode has it, got {name!r}") from None
