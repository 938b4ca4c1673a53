"""Look-ups by aiodns, which is c-ares by way of pycares, on asyncio."""

import aiodns
import pycares
from lookup_tasks import Resolve, run


def make_resolve(port: int) -> Resolve:
    resolver = aiodns.DNSResolver(nameservers=[f"127.0.0.1:{port}"])

    async def resolve(name: str) -> object:
        result = await resolver.query_dns(name, "A")
        (record,) = result.answer
        assert isinstance(record.data, pycares.ARecordData)
        return record.data.addr

    return resolve


if __name__ == "__main__":
    run(make_resolve)
