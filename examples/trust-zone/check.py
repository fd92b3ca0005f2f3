"""What the example shows, step by step: each is done as a person or an attacker would do it."""

import json
import sys
import time


class Failed(Exception):
    """A step did not show what it must."""


class Skipped(Exception):
    """A step that shows nothing here, and why."""


def must(condition, words):
    if not condition:
        raise Failed(words)


def until(seconds, ready):
    """Whether `ready` was true within the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.25)
    return False


def described(example, name, address, mac):
    status, reply = example.as_person("PUT", f"/machines-api/machines/{name}", {"address": address, "mac": mac})
    must(status == 200, f"the api answered {status}: {reply}")
    applied = lambda: example.as_person("GET", f"/machines-api/machines/{name}")[1].get("applied")
    must(until(30, applied), f"the engine did not carry it out: {example.as_person('GET', f'/machines-api/machines/{name}')}")
    must(example.dig(name) == [address], f"dig says {example.dig(name)}")
    must(f"{mac},{address},{name}\n" in example.reservations(), f"DHCP has {example.reservations()!r}")


def a_person_asks_and_the_engine_drives_dns_and_dhcp(example):
    described(example, "printer", "192.0.2.7", "02:00:00:00:00:07")
    found = example.read_log("search", "--action", "service:dns:name:put", "-n", "20").stdout
    must("token:engine" in found, "the engine's call is not in the log")


def nobody_comes_without_a_sign_in(example):
    session, example.session = example.session, "rgs_none"
    try:
        status, _reply = example.as_person("GET", "/machines-api/machines")
    finally:
        example.session = session
    must(status == 401, f"a stranger's token was answered with {status}")


def a_member_with_the_right_password_is_refused_by_the_database(example):
    """It is in the zone, its certificate is valid, and it knows the password."""
    example.sidecar("stranger", 7002, 9, *example.way_to_database("stranger"))
    environment = example.database_environment("stranger")
    words = [environment["PSQL"], "--no-psqlrc", "-c", "SELECT * FROM machines"]
    done = example.hosts.within("stranger", *words, check=False, capture_output=True, text=True,
                                env={**environment, "PATH": "/usr/bin:/bin"})
    must(done.returncode != 0, f"the database answered it: {done.stdout}")
    member = "/svc/stranger"
    must(until(10, lambda: member in example.refusals()), f"no event of it within 10 s: {example.refusals()}")
    allowed = example.hosts.within("api", *words, check=False, capture_output=True, text=True,
                                   env={**example.database_environment("api"), "PATH": "/usr/bin:/bin"})
    must(allowed.returncode == 0, f"and the api is not let in: {allowed.stderr}")


def a_caller_beside_the_gateway_is_refused(example):
    """The engine's own machine, on the inner network, straight at the control API of DNS: without TLS, and with TLS but no certificate."""
    script = ("import socket, ssl, sys\n"
              "line = socket.create_connection((sys.argv[1], 6754), 5)\n"
              "if sys.argv[2] == 'tls':\n"
              "    context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE\n"
              "    line = context.wrap_socket(line, server_hostname='dns')\n"
              "line.sendall(b'GET /zones HTTP/1.1\\r\\nHost: dns\\r\\n\\r\\n')\n"
              "reply = line.recv(100)\n"
              "sys.exit(1 if b'HTTP/1.1 2' in reply else 0)\n")
    for how in ("plain", "tls"):
        done = example.hosts.within("engine", sys.executable, "-c", script, example.inside("dns"), how, check=False,
                                    capture_output=True, text=True)
        refused = any(word in done.stderr for word in ("ConnectionResetError", "SSLError", "BrokenPipeError", "SSLEOFError"))
        must(done.returncode == 0 or refused, f"{how}: {done.stderr or 'the control API answered'}")
    # What came without TLS, and what came with TLS and no certificate, each by its reason.
    told = lambda: all(reason in example.refusals() for reason in ("no_zone_tls", "no_certificate"))
    must(until(10, told), f"no event of each within 10 s: {example.refusals()}")
    if example.hosts.namespaces:
        must(example.inside("engine") in example.refusals(), "the events do not name where it came from")


def the_back_end_of_dns_changes_and_no_caller_does(example):
    described(example, "scanner", "192.0.2.8", "02:00:00:00:00:08")
    example.swap_back_end()
    must(until(30, lambda: example.dig("scanner") == ["192.0.2.8"]), f"the file back end has not {example.dig('scanner')}")
    described(example, "camera", "192.0.2.9", "02:00:00:00:00:09")
    must(example.dig("printer") == ["192.0.2.7"], "what BIND held is lost")


def the_probe_is_green_and_a_published_port_turns_it_red(example):
    looked = example.probe()
    must(looked.returncode == 0, f"it is not green: {looked.stdout}{looked.stderr}")
    published = example.relay("gateway", f"{example.outside('gateway')}:6754", f"{example.inside('dns')}:6754")
    try:
        must(until(20, lambda: example.probe().returncode == 1), "a published control port was not found")
        findings = json.loads(example.probe().stdout)["findings"]
        must([one["port"] for one in findings] == [6754], f"{findings}")
    finally:
        example.hosts.stop(published)
    must(example.probe().returncode == 0, "it stays red")


def what_is_on_a_services_own_loopback_is_on_no_network(example):
    if not example.hosts.namespaces:
        raise Skipped("the machines share one loopback here")
    script = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
    for name, port in (("db", "postgres"), ("dns", "dns"), ("api", "api"), ("dns", "named")):
        done = example.hosts.within("engine", sys.executable, "-c", script, example.inside(name), str(example.ports[port]),
                                    check=False, capture_output=True, text=True)
        must(done.returncode != 0, f"{name}: port {example.ports[port]} takes connections from the network")


def the_log_verifies(example):
    done = example.read_log("verify")
    must(done.returncode == 0, f"{done.stdout}{done.stderr}")


STEPS = [
    a_person_asks_and_the_engine_drives_dns_and_dhcp,
    nobody_comes_without_a_sign_in,
    a_member_with_the_right_password_is_refused_by_the_database,
    a_caller_beside_the_gateway_is_refused,
    what_is_on_a_services_own_loopback_is_on_no_network,
    the_back_end_of_dns_changes_and_no_caller_does,
    the_probe_is_green_and_a_published_port_turns_it_red,
    the_log_verifies,
]


def run(example, as_json):
    """Runs every step and prints what came of it; whether all showed what they must."""
    results = []
    for step in STEPS:
        began = time.monotonic()
        skipped = None
        try:
            step(example)
            trouble = None
        except Skipped as why:
            skipped, trouble = str(why), None
        except (Failed, SystemExit, OSError) as failed:
            trouble = str(failed)
        if example.hosts.ended():
            trouble = (trouble or "") + f" ended by itself: {', '.join(example.hosts.ended())}"
        seconds = round(time.monotonic() - began, 1)
        results.append({"step": step.__name__, "ok": trouble is None, "skipped": skipped, "seconds": seconds,
                        "trouble": trouble})
        if not as_json:
            mark = "FAILED" if trouble else "skip  " if skipped else "ok    "
            said = trouble or skipped
            print(f"{mark} {step.__name__.replace('_', ' ')} ({seconds} s){': ' + said if said else ''}", flush=True)
    if as_json:
        print(json.dumps({"namespaces": example.hosts.namespaces, "steps": results}, indent=1))
    return all(one["ok"] for one in results)
