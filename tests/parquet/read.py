"""Reports responses and scores to a node, and asks DuckDB about its Parquet files."""

import datetime
import json
import os
import sys
import time
import urllib.request

import duckdb

node, lake = sys.argv[1:]
DAYS = [str(datetime.date.today() - datetime.timedelta(days=days)) for days in (4, 3)]


def post(path, body):
    headers = {"content-type": "application/json", "authorization": f"Bearer {os.environ['BOOKHOLDER_ADMIN_TOKEN']}"}
    request = urllib.request.Request(node + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))


for text in ("one", "two"):
    post("/v1/prompts/support%2Fagent/versions",
         {"content": {"syntax": "plain", "text": text}, "message": "m", "labels": ["production"]})
responses = [{"id": f"r-{number}", "prompt": "support/agent", "version": str(1 + number % 2), "cost_usd": 0.25,
              "input_tokens": 1000 + number, "ended": f"{DAYS[number % 2]}T15:00:00Z"} for number in range(100)]
post("/v1/responses", {"responses": responses})
post("/v1/scores", {"scores": [{"response": "r-1", "name": "helpful", "value": 0.5, "at": f"{DAYS[1]}T16:00:00Z"}]})

CALLS = f"read_parquet('{lake}/responses/**/*.parquet', hive_partitioning = true)"
SCORES = f"read_parquet('{lake}/scores/**/*.parquet', hive_partitioning = true)"
for _ in range(300):
    try:
        number = duckdb.sql(f"select count(*) from {CALLS}").fetchall()[0][0]
        scored = duckdb.sql(f"select r.id, s.value from {SCORES} s join {CALLS} r on r.id = s.response").fetchall()
        if number == 100 and scored:
            break
    except duckdb.IOException:  # no file yet
        pass
    time.sleep(0.1)
else:
    sys.exit("the files are not complete after 30 s")

assert scored == [("r-1", 0.5)], scored
found = duckdb.sql(f"""select day, version, count(*), sum(cost_pico_usd)::hugeint, min(input_tokens), max(ended)::text
                       from {CALLS} where prompt = 'support/agent' group by all order by day""").fetchall()
days = [(str(day), version, calls, cost, least) for day, version, calls, cost, least, _ in found]
assert days == [(DAYS[0], 1, 50, 12_500_000_000_000, 1000), (DAYS[1], 2, 50, 12_500_000_000_000, 1001)], days
assert all("15:00:00" in latest for *_, latest in found), found
one_day = duckdb.sql(f"select count(*) from {CALLS} where day = '{DAYS[1]}'").fetchall()
assert one_day == [(50,)], one_day
print(f"DuckDB {duckdb.__version__} read {number} responses of {len(days)} days")
