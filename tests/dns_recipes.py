"""How name servers are started, and what their configurations say: see `dns_peers`.

Source: nsd.conf(5), knot.conf(5), named.conf(5), unbound.conf(5), dnsmasq(8).
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Recipe:
    """How one kind of server is started.

    Attributes:
        package: Debian's, for who has not installed it.
        program: Its name.
        arguments: What follows it; ``{folder}`` is where its configuration is.
        configuration: The text of its file ``conf``, with ``{folder}``, ``{port}``, ``{tls_port}``, ``{upstream}`` and
            what `each` makes as ``{zones}``.
        each: What it says for each zone, with ``{zone}`` too.
    """

    package: str
    program: str
    arguments: str
    configuration: str
    each: str = ""


NSD: Final = Recipe(
    "nsd",
    "nsd",
    "-d -c {folder}/conf",
    """\
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
{zones}""",
    'zone:\n  name: "{zone}"\n  zonefile: "{zone}.zone"\n',
)
KNOT: Final = Recipe(
    "knot",
    "knotd",
    "-c {folder}/conf",
    """\
server:
  rundir: "{folder}"
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "{folder}/db"
log:
  - target: stderr
    any: info
template:
  - id: default
    global-module: mod-cookies
zone:
{zones}""",
    """\
  - domain: {zone}
    storage: "{folder}"
    file: {zone}.zone
    zonefile-sync: -1
    journal-content: none
""",
)
BIND: Final = Recipe(
    "bind9",
    "named",
    "-g -4 -n 1 -c {folder}/conf",
    """\
options {{
  directory "{folder}";
  pid-file "{folder}/pid";
  session-keyfile "{folder}/session.key";
  lock-file none;
  listen-on port {port} {{ 127.0.0.1; }};
{listen_tls}
  listen-on-v6 {{ none; }};
  recursion no;
  notify no;
  dnssec-validation no;
  max-records-per-type 0; // 100 unless told, and so a zone with more is refused
  max-udp-size 1232;
  tcp-clients 1000;
}};
controls {{ }};
{tls}
{zones}""",
    'zone "{zone}" {{ type primary; file "{folder}/{zone}.zone"; check-names ignore; }};\n',
)
UNBOUND: Final = Recipe(
    "unbound",
    "unbound",
    "-d -c {folder}/conf",
    """\
server:
  interface: 127.0.0.1
  port: {port}
  num-threads: 1
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  do-not-query-localhost: no
  do-not-query-address: 192.0.2.0/24
  do-ip6: no
  local-zone: "test." nodefault
  local-zone: "2.0.192.in-addr.arpa." nodefault
  local-zone: "8.b.d.0.1.0.0.2.ip6.arpa." nodefault
remote-control:
  control-enable: no
stub-zone:
  name: "."
  stub-addr: {upstream}
{zones}""",
    'stub-zone:\n  name: "{zone}"\n  stub-addr: {upstream}\n',
)
DNSMASQ: Final = Recipe(
    "dnsmasq-base",
    "dnsmasq",
    "-k -C {folder}/conf",
    """\
port={port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
addn-hosts={folder}/hosts
cache-size=20000
dns-forward-max=10000
pid-file={folder}/pid
log-facility=-
user=
{zones}""",
    "server=/{zone}/{upstream_hash}\n",
)
ROUTER: Final = ("router.home.test", "192.168.77.1")
"""What dnsmasq alone knows, from its hosts file."""
