"""A live primary, what is reported to it, and what its Parquet files must say."""

import datetime
import json
import os
import pathlib
import subprocess
import time
import urllib.request

import duckdb

TOKEN = "bh_parquet_0123456789abcdef01234567"
DAYS = [str(datetime.date.today() - datetime.timedelta(days=days)) for days in (4, 3)]


def until(what, look):
    """What `look` answers as soon as it is true."""
    for _ in range(600):
        if found := look():
            return found
        time.sleep(0.1)
    raise SystemExit(f"not so after a minute: {what}")


class Node:
    """A primary that writes Parquet files."""

    def __init__(self, work, place, env=None):
        self.work, self.place, self.env = pathlib.Path(work), place, env or {}
        self.work.mkdir()
        self.start()

    def start(self):
        data, log = self.work / "primary", open(self.work / "log", "a")
        address = data / "address"
        address.unlink(missing_ok=True)
        args = ["serve", "--data", data, "--listen", "127.0.0.1:0", "--parquet", self.place, "--parquet-every-s", "1"]
        env = {**os.environ, **self.env, "BOOKHOLDER_ADMIN_TOKEN": TOKEN}
        self.process = subprocess.Popen([os.environ["BOOKHOLDER"], *args], stderr=log, env=env)
        try:
            until("the node listens", lambda: address.exists() and address.read_text())
        except SystemExit:
            print(self.log())
            raise
        self.url = f"http://{address.read_text().strip()}"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log(self):
        return (self.work / "log").read_text()

    def ask(self, path, body=None):
        headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
        data = None if body is None else json.dumps(body).encode()
        return urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers)).read().decode()

    def publish(self):
        for text in ("one", "two"):
            content = {"syntax": "plain", "text": text}
            self.ask("/v1/prompts/support%2Fagent/versions",
                     {"content": content, "message": "m", "labels": ["production"]})

    def report(self, numbers):
        """Calls by turns of both versions and days; a score of the second."""
        calls = [{"id": f"r-{number}", "prompt": "support/agent", "version": str(1 + number % 2), "cost_usd": 0.25,
                  "input_tokens": 1000 + number, "ended": f"{DAYS[number % 2]}T15:00:00Z"} for number in numbers]
        self.ask("/v1/responses", {"responses": calls})
        if 1 in numbers:
            score = {"response": "r-1", "name": "helpful", "value": 0.5, "at": f"{DAYS[1]}T16:00:00Z"}
            self.ask("/v1/scores", {"scores": [score]})


class Lake:
    """A folder of Parquet files."""

    def __init__(self, folder):
        self.calls = f"read_parquet('{folder}/responses/**/*.parquet', hive_partitioning = true)"
        self.scores = f"read_parquet('{folder}/scores/**/*.parquet', hive_partitioning = true)"

    def ask(self, question):
        try:
            return duckdb.sql(question).fetchall()
        except duckdb.IOException:  # no file yet
            return []

    def is_complete(self, number):
        scored = self.ask(f"select r.id, s.value from {self.scores} s join {self.calls} r on r.id = s.response")
        return self.ask(f"select count(*) from {self.calls}") == [(number,)] and scored == [("r-1", 0.5)]

    def check(self, number):
        """All of an even number of calls are there once, in their days."""
        assert self.is_complete(number), self.ask(f"select count(*), count(distinct id) from {self.calls}")
        found = self.ask(f"""select day, version, count(distinct id), sum(cost_pico_usd)::hugeint, min(input_tokens),
                             max(ended)::text
                             from {self.calls} where prompt = 'support/agent' group by all order by day""")
        half, cost = number // 2, number // 2 * 250_000_000_000
        days = [(str(day), version, calls, cost, least) for day, version, calls, cost, least, _ in found]
        assert days == [(DAYS[0], 1, half, cost, 1000), (DAYS[1], 2, half, cost, 1001)], days
        assert all("15:00:00" in latest for *_, latest in found), found
        assert self.ask(f"select count(*) from {self.calls} where day = '{DAYS[1]}'") == [(half,)]
        print(f"DuckDB {duckdb.__version__} read {number} responses of {len(days)} days")
