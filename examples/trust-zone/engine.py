"""The engine: a machine caller. It reads what is asked from the database, and has DNS and DHCP do it, through the gateway.

It holds a token of the gateway and no key of a name server: what it does is decided, limited and recorded like what people do.
"""

import json
import os
import sys
import time

from calls import call
from database import DatabaseError, query

ZONE = os.environ["EXAMPLE_DNS_ZONE"]


def carry_out(name, address, mac):
    """What went wrong, or None."""
    sets = {"sets": [{"type": "A", "ttl": 60, "values": [address]}]}
    status, reply = call("PUT", f"/dns/zones/{ZONE}/names/{name}.{ZONE}?wait=10s", sets)
    if status != 200:
        return f"DNS: {status} {json.dumps(reply)}"
    status, reply = call("PUT", f"/dhcp/reservations/{mac}", {"address": address, "name": name})
    if status != 200:
        return f"DHCP: {status} {json.dumps(reply)}"
    return None


def round():
    waiting = query("SELECT name, host(address), mac::text, revision FROM machines WHERE applied < revision;")
    for name, address, mac, revision in waiting:
        trouble = carry_out(name, address, mac)
        if trouble:
            query("UPDATE machines SET trouble = :'trouble' WHERE name = :'name';", name=name, trouble=trouble)
        else:
            query("UPDATE machines SET applied = :revision, trouble = NULL WHERE name = :'name';",
                  name=name, revision=int(revision))


if __name__ == "__main__":
    while True:
        try:
            round()
        except (DatabaseError, OSError) as error:
            print(f"engine: {error}", file=sys.stderr, flush=True)
        time.sleep(0.5)
