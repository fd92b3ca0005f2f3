"""The machines of the example: network namespaces of this one, or addresses of its loopback where those are not allowed.

In namespaces each machine has an address in `inside`, and those with a door to the world one in `outside`; neither network leads
to the other. On loopback nothing but the addresses that programs listen on keeps the two apart.
"""

import os
import signal
import subprocess
import time


class Hosts:
    """Starts programs on machines, and stops all of them."""

    def __init__(self, directory, namespaces):
        self.directory = directory
        self.namespaces = namespaces
        self.processes = []
        self.holders = {}
        if namespaces:
            ip("link", "set", "lo", "up")
            for network in ("inside", "outside"):
                ip("link", "add", network, "type", "bridge")
                # The bridge itself has no address: the machine that holds it all is on neither network.
                ip("link", "set", network, "up")

    def add(self, name, number, outside=False):
        """A machine, and its two addresses."""
        if not self.namespaces:
            return f"127.88.0.{number}", f"127.99.0.{number}"
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.holders[name] = holder
        await_namespace(holder.pid)
        self.within(name, "ip", "link", "set", "lo", "up")
        networks = [("inside", "10.88.0.", "i")] + ([("outside", "10.99.0.", "o")] if outside else [])
        if outside == "only":
            networks = [("outside", "10.99.0.", "o")]
        for network, prefix, letter in networks:
            near, far = f"{letter}{number}", f"{network}"
            ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", str(holder.pid))
            ip("link", "set", near, "master", network, "up")
            self.within(name, "ip", "addr", "add", f"{prefix}{number}/24", "dev", far)
            self.within(name, "ip", "link", "set", far, "up")
        return f"10.88.0.{number}", f"10.99.0.{number}"

    def prefix(self, name):
        if not self.namespaces:
            return []
        return ["nsenter", f"--net=/proc/{self.holders[name].pid}/ns/net", "--"]

    def within(self, name, *words, **more):
        """Runs a program on a machine to its end."""
        return subprocess.run(self.prefix(name) + list(words), check=more.pop("check", True), **more)

    def start(self, name, label, *words, environment=None, before=()):
        """Starts a program on a machine; its words go to LABEL.log."""
        log = open(os.path.join(self.directory, label + ".log"), "ab")
        process = subprocess.Popen(self.prefix(name) + list(before) + list(words), stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})
        process.label = label
        self.processes.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def ended(self):
        """Programs that ended by themselves."""
        return [process.label for process in self.processes if process.poll() is not None]

    def close(self):
        for process in reversed(list(self.processes)):
            # PostgreSQL stops at once, and not when its last client has gone, with SIGINT.
            self.stop(process, signal.SIGINT if process.label == "postgres" else signal.SIGTERM)
        for holder in self.holders.values():
            holder.kill()
            holder.wait()


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def await_namespace(pid):
    own = os.readlink("/proc/self/ns/net")
    for _ in range(200):
        try:
            if os.readlink(f"/proc/{pid}/ns/net") != own:
                return
        except OSError:
            pass
        time.sleep(0.01)
    raise SystemExit("a network namespace was not made")


def allowed():
    """Whether this machine lets us make network namespaces with links between them."""
    probe = "unshare --net true && ip link add check0 type bridge && ip link add check1 type veth peer name check2"
    within = subprocess.run(own_network(["sh", "-c", probe]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return within.returncode == 0


def own_network(words):
    """Words that run a program in a network namespace of its own, as root of it."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--", *words]
