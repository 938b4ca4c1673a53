"""The zone that all resolvers ask for, and the configuration of the server that has it: NSD.

It must never know who asks. The names are those of ``peers/dns/lookup_work.py``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ZONE: Final = "bench.test"
WILD: Final = "192.0.2.77"
"""The address of all names below ``any.bench.test``."""

_CONFIGURATION: Final = """\
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/pid"
  zonelistfile: "{folder}/zones"
  xfrdfile: "{folder}/xfrd"
  xfrdir: "{folder}"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: "{zone}"
  zonefile: "{zone}.zone"
"""


def write_files(folder: Path, port: int, names: int) -> Path:
    """Write the server's files.

    Args:
        folder: Where to.
        port: What the server listens on, of 127.0.0.1.
        names: How many names have an address of their own.

    Returns:
        Its configuration.
    """
    with (folder / f"{ZONE}.zone").open("w") as file:
        file.writelines(_lines(names))
    configuration = folder / "nsd.conf"
    configuration.write_text(_CONFIGURATION.format(port=port, folder=folder, zone=ZONE))
    return configuration


def _lines(names: int) -> Iterator[str]:
    yield f"$ORIGIN {ZONE}.\n$TTL 3600\n"
    yield "@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"
    yield f"*.any A {WILD}\n"
    for number in range(names):
        yield f"h{number} A 10.{number >> 16}.{number >> 8 & 255}.{number & 255}\n"
