"""Which names a name may stand for: itself and, with each domain of the search list, a longer one; and in which order.

A decider over wire names. It knows nothing of servers: whether to go on with the next candidate is not said here.
"""

from evkit.dns.names import MAX_NAME, labels

_ROOT = b"\0"


def candidates(
    name: bytes, search: tuple[bytes, ...], ndots: int, *, absolute: bool = False, no_tld_query: bool = False
) -> list[bytes]:
    """Return the names to ask for, the first one first.

    Args:
        name: A wire name, as the user gave it.
        search: Domains as wire names; that of the root stands for the name itself.
        ndots: With so many dots in it, the name itself comes first and not last.
        absolute: It was written with a final dot, and stands for itself alone.
        no_tld_query: A name without a dot does not come last, for no top level domain is meant.

    Returns:
        At least one name, each once. What gets longer than a name may be is left out.

    Source: glibc's ``__res_context_search``; ``search_make_new`` of evdns, which has no absolute names.
    """
    if absolute or not search or name == _ROOT:
        return [name]
    dots = len(labels(name)) - 1
    joined = [name[:-1] + domain for domain in search if len(name) - 1 + len(domain) <= MAX_NAME]
    if dots >= ndots:
        joined.insert(0, name)
    elif dots or not no_tld_query:
        joined.append(name)
    return list(dict.fromkeys(joined)) or [name]
