"""Calls through the gateway, with the bearer token of whoever calls."""

import json
import os
import ssl
import urllib.error
import urllib.request


def call(method, path, body=None):
    """Status and JSON of a reply. The gateway is at RACK_GATEWAY_URL, its certificate in SSL_CERT_FILE."""
    request = urllib.request.Request(os.environ["RACK_GATEWAY_URL"] + path, method=method)
    request.add_header("Authorization", "Bearer " + os.environ["EXAMPLE_TOKEN"])
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as reply:
            status, content = reply.status, reply.read()
    except urllib.error.HTTPError as refused:
        status, content = refused.code, refused.read()
    try:
        return status, json.loads(content) if content else None
    except json.JSONDecodeError:
        return status, content.decode(errors="replace")
