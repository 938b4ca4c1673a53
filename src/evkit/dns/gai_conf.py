"""What gai.conf says of the order of addresses. A decider over bytes, which never fails."""

import re
from typing import Final

from evkit.dns.address_order import Policy, Prefix, policy, prefix

MAX_PREFIXES: Final = 256
"""Lines that are heeded. Each costs time for each address that is put in order."""
_VALUE: Final = re.compile(r"[0-9]{1,9}")


def parse(data: bytes) -> Policy:
    """Read a gai.conf.

    ``label`` and ``precedence``: one line of a kind replaces all that RFC 6724 has of it. ``scopev4`` and ``reload``
    are passed over: those scopes are as in the RFC, and the file is looked at as the others are.

    Source: gai.conf(5).
    """
    found: dict[str, list[Prefix]] = {"precedence": [], "label": []}
    for line in data.split(b"\n"):
        words = line.partition(b"#")[0].decode("latin-1").split()
        if len(words) == 3 and words[0] in found and _VALUE.fullmatch(words[2]):
            _add(found[words[0]], words[1], int(words[2]))
    return policy(found["precedence"], found["label"])


def _add(prefixes: list[Prefix], network: str, value: int) -> None:
    try:
        line = prefix(network, value)
    except ValueError:
        return
    if len(prefixes) < MAX_PREFIXES:
        prefixes.append(line)
