"""An application without dependencies: it asks the replica for its prompt, and keeps the last good one.

    curl 'http://127.0.0.1:8000/?name=Ada'
"""

import http.client
import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit


class Replica(http.client.HTTPConnection):
    """A connection over the Unix socket of the replica."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.environ["BOOKHOLDER_SOCKET"])


def render(reference, variables):
    """Returns the messages of a prompt, ready for a model, and the stamp to log with its answer."""
    replica = Replica("localhost", timeout=0.2)
    try:
        body = json.dumps({"variables": variables})
        replica.request("POST", f"/v1/render/{quote(reference)}", body, {"Content-Type": "application/json"})
        answer = replica.getresponse()
        return answer.status, json.load(answer)
    finally:
        replica.close()


class Greeting(BaseHTTPRequestHandler):
    def do_GET(self):
        status, answer = render("greeting@production", dict(parse_qsl(urlsplit(self.path).query)))
        # Here the model would be asked.
        body = json.dumps(answer, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", 8000), Greeting).serve_forever()
