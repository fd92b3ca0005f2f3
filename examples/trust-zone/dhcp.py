"""The control API of a DHCP server: reservations, as a file that dnsmasq reads (--dhcp-hostsfile).

The server itself answers on its external port; here nobody but the gateway gets in.
"""

import ipaddress
import os
import re
import sys

from service import Refused, serve

PATH = re.compile(r"/reservations/([0-9a-f]{2}(?::[0-9a-f]{2}){5})$")
LINE = re.compile(r"([0-9a-f:]{17}),([0-9.]+),([a-z0-9-]+)$")
WRITERS = {"ops", "admin"}
FILE = sys.argv[2]


def held():
    if not os.path.exists(FILE):
        return {}
    with open(FILE) as lines:
        return {match[1]: (match[2], match[3]) for match in map(LINE.match, lines.read().splitlines()) if match}


def write(reservations):
    with open(FILE + ".new", "w") as file:
        file.writelines(f"{mac},{address},{name}\n" for mac, (address, name) in sorted(reservations.items()))
        file.flush()
        os.fsync(file.fileno())
    os.replace(FILE + ".new", FILE)


def answer(method, path, body, _person, roles):
    reservations = held()
    if method == "GET" and path == "/reservations":
        return 200, {mac: {"address": address, "name": name} for mac, (address, name) in reservations.items()}
    match = PATH.match(path)
    if not match:
        raise Refused(404, "there are /reservations and /reservations/{mac}")
    if method != "GET" and not WRITERS.intersection(roles):
        raise Refused(403, "ops and admin may write")
    if method == "PUT":
        try:
            address, name = str(ipaddress.IPv4Address(body["address"])), body["name"]
        except (TypeError, KeyError, ValueError) as error:
            raise Refused(400, 'say {"address": "192.0.2.1", "name": "printer"}') from error
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            raise Refused(400, "name is a host name")
        reservations[match[1]] = (address, name)
        write(reservations)
    if method == "DELETE":
        reservations.pop(match[1], None)
        write(reservations)
        return 200, {}
    if match[1] not in reservations:
        raise Refused(404, "there is no such reservation")
    address, name = reservations[match[1]]
    return 200, {"address": address, "name": name}


if __name__ == "__main__":
    serve(int(sys.argv[1]), answer)
