"""The API of the deployment: people say which machines there are. It reaches the database, and nothing else."""

import ipaddress
import re
import sys

from database import DatabaseError, query
from service import Refused, serve

NAME = re.compile(r"/machines/([a-z][a-z0-9-]{0,30})$")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}$")
COLUMNS = "SELECT name, host(address), mac::text, asked_by, applied >= revision, coalesce(trouble, '') FROM machines"


def shown(row):
    name, address, mac, asked_by, applied, trouble = row
    return {"name": name, "address": address, "mac": mac, "asked_by": asked_by,
            "applied": applied == "t", "trouble": trouble or None}


def answer(method, path, body, person, _roles):
    try:
        if method == "GET" and path == "/machines":
            return 200, {"machines": [shown(row) for row in query(COLUMNS + " ORDER BY name;")]}
        match = NAME.match(path)
        if not match:
            raise Refused(404, "there are /machines and /machines/{name}")
        name = match[1]
        if method == "PUT":
            address, mac = described(body)
            query("INSERT INTO machines (name, address, mac, asked_by) VALUES (:'name', :'address', :'mac', :'person') "
                  "ON CONFLICT (name) DO UPDATE SET address = :'address', mac = :'mac', asked_by = :'person', "
                  "revision = machines.revision + 1, trouble = NULL;",
                  name=name, address=address, mac=mac, person=person)
        rows = query(COLUMNS + " WHERE name = :'name';", name=name)
        if not rows:
            raise Refused(404, f"there is no machine {name}")
        return 200, shown(rows[0])
    except DatabaseError as error:
        raise Refused(503, f"the database did not take it: {error}") from error


def described(body):
    try:
        address, mac = str(ipaddress.IPv4Address(body["address"])), body["mac"].lower()
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise Refused(400, 'say {"address": "192.0.2.1", "mac": "02:00:00:00:00:01"}') from error
    if not MAC.match(mac):
        raise Refused(400, "mac is six pairs of hexadecimal digits")
    return address, mac


if __name__ == "__main__":
    serve(int(sys.argv[1]), answer)
