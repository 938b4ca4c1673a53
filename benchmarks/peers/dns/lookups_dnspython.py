"""Look-ups by dnspython's own resolver for asyncio, which has no cache unless it is given one."""

import dns.asyncresolver
from lookup_tasks import Resolve, run


def make_resolve(port: int) -> Resolve:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = port

    async def resolve(name: str) -> object:
        answer = await resolver.resolve(name, "A", search=False)
        (record,) = answer
        return record.address

    return resolve


if __name__ == "__main__":
    run(make_resolve)
