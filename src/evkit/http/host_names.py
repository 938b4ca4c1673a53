"""International names of hosts, as the DNS, certificates and ``Host`` have them: the door to the package ``idna``.

Decides what name in ASCII a name in Unicode means: the one that browsers go to. Names that are ASCII already need none
of this. It knows nothing of URLs and of addresses.
"""

from typing import Final

_MAX_NAME: Final = 255
"""Characters that are looked at: a name has at most 253, and not more of them in ASCII than in Unicode only where they
are mapped to fewer. What encoding costs grows with the square of the length."""
_MAX_LABEL: Final = 63
"""Characters of a label. Source: RFC 1035 §2.3.4."""
_JOINERS: Final = "\u200c\u200d"


def ascii_name(name: str) -> str:
    """Return the name of a host in ASCII, each label beyond it as ``xn--…``.

    Whether labels of ASCII are ones that a host can have is the caller's to check.

    Args:
        name: Labels, perhaps ``*`` among them, separated by dots of any script.

    Raises:
        ValueError: A character can't be in a name, or not there.

    Source: UTS 46 §4, non-transitional, as the WHATWG URL standard has it ("domain to ASCII"): so ``faß.de`` is not
    ``fass.de``, which it is to IDNA 2003 and Python's own codec, and there may be symbols, which IDNA 2008 has not.
    """
    if name.isascii():
        return name
    if len(name) > _MAX_NAME:
        raise ValueError(f"expected the name of a host, got {len(name)} characters")
    import idna  # its tables take their time to load, and most names have no use for them

    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
        return ".".join([label if label.isascii() else _encoded(label) for label in mapped.split(".")])
    except UnicodeError as error:  # what IDNAError is; some lone surrogates raise another
        raise ValueError(f"expected the name of a host, got {name!r:.80}: {error}") from None


def _encoded(label: str) -> str:
    """Return one label in ASCII. Source: UTS 46 §4.1, without its rules for hyphens; RFC 5892 §A.1, §A.2; RFC 5893."""
    import idna

    if label.startswith("xn--"):
        raise idna.IDNAError(f"{label!r} is neither in ASCII nor in Unicode")
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    for position, character in enumerate(label):
        if character in _JOINERS and not idna.valid_contextj(label, position):
            raise idna.IDNAError(f"no joiner can be at position {position + 1} of {label!r}")
    encoded = f"xn--{label.encode('punycode').decode('ascii')}"
    if len(encoded) > _MAX_LABEL:
        raise idna.IDNAError(f"a label has {len(encoded)} characters in ASCII, and may have {_MAX_LABEL}")
    return encoded
