"""Files in a bucket: a failure is shown and repeated, and each event is there once, also after a crash."""

import json
import os
import pathlib
import subprocess
import sys

# After this many requests, moto checks signatures and permissions.
SETUP_REQUESTS = 3
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(SETUP_REQUESTS)
import boto3
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from lake import TOKEN, Lake, Node, until

REGION = "eu-central-1"
work = pathlib.Path(sys.argv[1])
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
endpoint = "http://%s:%s" % server.get_host_and_port()


def client(service, key="none", secret="none"):
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=key,
                        aws_secret_access_key=secret)


iam = client("iam")
iam.create_user(UserName="bookholder")
key = iam.create_access_key(UserName="bookholder")["AccessKey"]
allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="bookholder", PolicyName="lake", PolicyDocument=json.dumps(allowed))
secret = key["SecretAccessKey"]
s3 = client("s3", key["AccessKeyId"], secret)
try:
    client("s3", key["AccessKeyId"], "wrong").list_buckets()
    sys.exit("moto does not check signatures")
except ClientError as error:
    assert error.response["Error"]["Code"] == "SignatureDoesNotMatch", error

keys = pathlib.Path(f"{work}.keys")
keys.write_text(f"[lake]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = wrong\n")
node = Node(work, "s3://lake/prompts/a b", {"AWS_SHARED_CREDENTIALS_FILE": str(keys), "AWS_PROFILE": "lake",
                                              "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION})


def failure():
    exports = json.loads(node.ask("/v1/status"))["telemetry"].get("exports", [])
    return next((one["failure"]["reason"] for one in exports if "failure" in one), "")


def counted(name):
    lines = (line.rsplit(" ", 1) for line in node.ask("/metrics").splitlines())
    return next((float(value) for series, value in lines if series == f'{name}{{kind="parquet"}}'), 0)


try:
    node.publish()
    node.report(range(50))
    until("the status says what is wrong", lambda: "SignatureDoesNotMatch" in failure())
    # The file of keys is read again, so a key is replaced while the node runs.
    keys.write_text(keys.read_text().replace("wrong", secret))
    until("the key is accepted", lambda: "NoSuchBucket" in failure())
    shown = subprocess.run([os.environ["BOOKHOLDER"], "status"], capture_output=True, text=True,
                           env={**os.environ, "BOOKHOLDER_SERVER": node.url, "BOOKHOLDER_TOKEN": TOKEN})
    assert "export" in shown.stdout and "NoSuchBucket" in shown.stdout, shown
    assert counted("bookholder_telemetry_export_failures_total") > 1
    # What was begun is ended under the same names after a crash, and what comes later is in other files.
    node.report(range(50, 100))
    node.kill()
    node.start()
    node.report(range(90, 120))
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})

    def copy():
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lake"):
            for one in page.get("Contents", []):
                path = work / one["Key"]
                path.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file("lake", one["Key"], str(path))
        return work / "prompts/a b"

    lake = Lake(copy())
    until("all events are in the bucket", lambda: copy() and lake.is_complete(120))
    lake.check(120)
    until("the status says that it works", lambda: not failure())
    assert counted("bookholder_telemetry_exported_total") == 121
    names = [path.name for path in work.glob("prompts/*/responses/day=*/*.parquet")]
    assert len(names) > len(set(names)), names  # a file of each day, of the same blocks
    assert secret not in node.log() + node.ask("/v1/status") + node.ask("/metrics"), "a secret is shown"
except BaseException:
    print(node.log())
    raise
finally:
    node.kill()
    server.stop()
