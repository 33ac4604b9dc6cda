"""Stands in for the models of a page: answers as OpenAI's API does, on the port that is given."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "I am sorry for the trouble. I cannot promise that, but a colleague looks at it today."
VERDICT = '{"reason": "It apologizes, and a colleague looks at it.", "score": 1, "pass": true}'


class Model(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"data": []})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = VERDICT if asked["messages"][0]["content"].startswith("You grade") else ANSWER
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 10, "completion_tokens": 20}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.answer({"model": asked["model"], "choices": [choice], "usage": usage})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
