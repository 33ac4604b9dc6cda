"""A model for tests: it speaks OpenAI's chat completions, and answers the same to the same question."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Model:
    """Listens on a free port until the end of the ``with`` block, and keeps the requests that it got."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path != "/v1/chat/completions" or self.headers["Authorization"] != "Bearer sk-test":
                    self.send_error(404)
                    return
                requests.append(json.loads(body))
                answer = json.dumps(completion(requests[-1])).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Model:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def completion(request: dict[str, Any]) -> dict[str, Any]:
    """Says again what it was told."""
    said = " | ".join(f"{message['role']}: {message['content']}" for message in request["messages"])
    prompt_tokens, completion_tokens = len(said.split()), 7
    return {
        "id": f"chatcmpl-{hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]}",
        "object": "chat.completion",
        "created": 1_774_000_000,
        "model": request["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }
