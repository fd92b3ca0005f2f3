"""What the two small services share: JSON over HTTP on loopback, behind a sidecar that says who calls."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Refused(Exception):
    """A status and a reason for the caller."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """Calls `answer(method, path, body, person, roles)` of the server and sends what it gives as JSON."""

    protocol_version = "HTTP/1.1"

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        try:
            if length > 65536:
                raise Refused(413, "at most 64 KiB")
            body = json.loads(self.rfile.read(length)) if length else None
            # Only the sidecar can reach this port, and it took away whatever the caller itself said here.
            person = self.headers.get("X-Gateway-Email") or self.headers.get("X-Gateway-User") or ""
            roles = (self.headers.get("X-Gateway-Roles") or "").replace(" ", "").split(",")
            status, reply = self.server.answer(self.command, self.path.split("?")[0], body, person, roles)
        except Refused as refused:
            status, reply = refused.status, {"error": str(refused)}
        except json.JSONDecodeError:
            status, reply = 400, {"error": "the body is not JSON"}
        text = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_DELETE = handle_any


def serve(port, answer):
    """Serves until the process ends."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.answer = answer
    server.serve_forever()
