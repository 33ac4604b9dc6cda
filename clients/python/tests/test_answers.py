"""Who answers: the node, memory, baked prompts, the fallback."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bookholder import (
    AsyncBookholder,
    AsyncPrompt,
    Bookholder,
    InvalidReference,
    InvalidVariables,
    Prompt,
    PromptNotFound,
    PromptUnavailable,
    RenderFailed,
    _core,
)
from bookholder._reference import described
from nodes import TOKEN, Node, until

Start = Callable[..., Node]


def clients(node: Node, **options: Any) -> list[Bookholder]:
    return [Bookholder(node.url, **options), Bookholder(socket=node.socket, **options)]


def asked(node: Node, reference: str, **options: Any) -> list[Prompt | AsyncPrompt]:
    """What every kind of client gets."""
    question = {key: options.pop(key) for key in ("subject", "attributes", "fallback") if key in options}
    answers: list[Prompt | AsyncPrompt] = [bh.prompt(reference, **question) for bh in clients(node, **options)]

    async def ask() -> None:
        for place in ({"url": node.url}, {"socket": node.socket}):
            async with AsyncBookholder(**place, **options) as bh:  # type: ignore[arg-type]
                answers.append(await bh.prompt(reference, **question))

    asyncio.run(ask())
    return answers


def test_answer_says_which_version_it_is(primary: Node) -> None:
    version = primary.publish("answers/one", "Hi {{shop}}")
    for p in asked(primary, "answers/one"):
        assert (p.name, p.version, p.label) == ("answers/one", version, "production")
        assert (p.source, p.stale) == ("replica", False)
        assert p.content_id is not None
        assert p.stamp == f"answers/one@1+{p.content_id[3:15]}"
        assert p.age is not None
        assert 0 <= p.age < 60
        assert p.span_attributes() == {
            "gen_ai.prompt.name": "answers/one",
            "gen_ai.prompt.version": "1",
            "bookholder.stamp": p.stamp,
            "bookholder.label": "production",
            "langfuse.observation.prompt.name": "answers/one",
            "langfuse.observation.prompt.version": "1",
        }
    for p in asked(primary, "answers/one@1"):
        assert (p.version, p.label) == (1, None)


def test_rollback_holds_from_the_next_call(primary: Node) -> None:
    primary.publish("answers/rollback", "one")
    bh, by_socket = clients(primary)
    for number in range(2, 6):
        assert primary.publish("answers/rollback", f"v{number}") == number
        assert bh.prompt("answers/rollback").text() == by_socket.prompt("answers/rollback").text() == f"v{number}"
        primary.ok("POST", "/v1/prompts/answers%2Frollback/labels/production/rollback", {"message": "why"})
        assert bh.prompt("answers/rollback").version == by_socket.prompt("answers/rollback").version == 1
        primary.deploy("answers/rollback", version=1)


def test_split_gives_a_subject_one_version_and_rules_look_at_attributes(primary: Node) -> None:
    primary.publish("answers/split", "one")
    primary.publish("answers/split", "two", "staging")
    primary.deploy("answers/split", split={"weights": {"1": 50, "2": 50}, "salt": "s"})
    bh = Bookholder(primary.url)
    first = {f"user-{n}": bh.prompt("answers/split", subject=f"user-{n}").version for n in range(40)}
    assert set(first.values()) == {1, 2}
    again = {name: bh.prompt("answers/split", subject=name) for name in first}
    assert {name: p.version for name, p in again.items()} == first
    assert all(p.assignment and p.assignment["bucket"] is not None for p in again.values())
    primary.deploy("answers/split", version=1)
    assert bh.prompt("answers/split", subject="user-1").assignment is None


def test_odd_subjects_and_names_arrive_as_they_are(primary: Node) -> None:
    primary.publish("answers/odd", "one")
    primary.publish("answers/odd", "two", "staging")
    rule = {"when": {"x&y": "y=z&ü #"}, "version": 2}
    primary.deploy("answers/odd", version=1, rules=[rule])
    for p in asked(primary, "answers/odd", subject="a&b=c#?%/ü", attributes={"x&y": "y=z&ü #"}):
        assert (p.version, p.assignment) == (2, {"rule": 0, "bucket": None, "sticky": True})
    for p in asked(primary, "answers/odd", subject="a&b=c#?%/ü", attributes={"x": "y=z&ü #"}):
        assert p.version == 1


def test_error_of_the_node_says_what_is_wrong(primary: Node) -> None:
    for bh in clients(primary):
        with pytest.raises(PromptNotFound, match="there is no prompt `answers/none`"):
            bh.prompt("answers/none")
        with pytest.raises(InvalidReference, match="content id"):
            bh.prompt("answers/none@b3:x")
        with pytest.raises(InvalidReference):
            bh.prompt("answers/one", attributes={"x": "y" * 2_000})
        assert bh.prompt("answers/none", fallback="Hi {{a}}").text(a="you") == "Hi you"


def test_prompt_that_was_removed_is_not_remembered(start: Start) -> None:
    node = start()
    node.publish("a", "one")
    bh = Bookholder(node.url)
    assert bh.prompt("a").text() == "one"
    node.ok("DELETE", "/v1/prompts/a/labels/production", {"message": "why"})
    with pytest.raises(PromptNotFound):
        bh.prompt("a")
    node.kill()
    with pytest.raises(PromptUnavailable, match=r"cannot connect"):
        bh.prompt("a")


def test_memory_answers_while_the_node_is_away(start: Start) -> None:
    node = start()
    node.publish("a", "one")
    bhs = clients(node)
    for bh in bhs:
        bh.prompt("a")
    node.publish("a", "two")
    for bh in bhs:
        assert bh.prompt("a").text() == "two"
    node.kill()
    for bh in bhs:
        p = bh.prompt("a", subject="someone", fallback="never")
        assert (p.text(), p.source, p.stale, p.version) == ("two", "memory", True, 2)
    node.start()
    for bh in bhs:
        p = bh.prompt("a")
        assert (p.source, p.stale) == ("replica", False)
    node.publish("a", "three")
    assert [bh.prompt("a").text() for bh in bhs] == ["three", "three"]


def test_memory_keeps_who_got_which_version_of_a_split(start: Start) -> None:
    node = start()
    node.publish("a", "one")
    node.publish("a", "two", "staging")
    node.deploy("a", split={"weights": {"1": 50, "2": 50}, "salt": "s"})
    bh = Bookholder(node.url)
    first = {f"user-{n}": bh.prompt("a", subject=f"user-{n}").version for n in range(20)}
    node.kill()
    assert {name: bh.prompt("a", subject=name).version for name in first} == first
    assert bh.prompt("a", subject="new").version in (1, 2)
    node.start()
    node.deploy("a", version=2)
    assert bh.prompt("a", subject="user-0").version == 2
    node.kill()
    # The label serves one version to everyone now.
    assert {bh.prompt("a", subject=name).version for name in first} == {2}


def test_hung_node_costs_the_timeout_and_no_more(folder: Path) -> None:
    path = str(folder / "hung.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        bh = Bookholder(socket=path, timeout=0.05, patience=0.1)
        began = time.monotonic()
        p = bh.prompt("a", fallback="Hi {{x}}")
        assert 0.05 <= time.monotonic() - began < 5
        assert (p.source, p.version, p.stamp, p.text(x="you")) == ("fallback", None, None, "Hi you")
        with pytest.raises(PromptUnavailable, match=r"did not answer within 0.1 s"):
            bh.prompt("a")

        async def ask() -> None:
            async with AsyncBookholder(socket=path, timeout=0.05, patience=0.1) as abh:
                prompts = await asyncio.gather(*(abh.prompt("a", fallback="x") for _ in range(100)))
                assert {p.source for p in prompts} == {"fallback"}

        asyncio.run(ask())


def serve(listener: socket.socket, *replies: bytes) -> threading.Thread:
    """Answers one request on each of some connections."""

    def run() -> None:
        for reply in replies:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(reply)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("reply", "part"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "in the middle of an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "not that of a Bookholder node"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n[[[[", "not that of a Bookholder node"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "status 503"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "not chunked as it says"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", "too long"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "too long"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "status 304"),
    ],
)
def test_answer_that_is_none_is_no_answer(folder: Path, reply: bytes, part: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "odd.sock"))
        listener.listen()
        serve(listener, reply, reply)
        options: dict[str, Any] = {"socket": listener.getsockname(), "timeout": 10.0}
        with pytest.raises(PromptUnavailable) as raised:
            Bookholder(**options).prompt("a")
        assert part in str(raised.value)

        async def ask() -> None:
            async with AsyncBookholder(**options) as bh:
                with pytest.raises(PromptUnavailable) as raised:
                    await bh.prompt("a")
                assert part in str(raised.value)

        asyncio.run(ask())


def test_answers_in_pieces_and_chunks_are_read(folder: Path, primary: Node) -> None:
    primary.publish("answers/pieces", "Hi")
    body = primary.call("GET", "/v1/resolve/answers/pieces").body
    half = len(body) // 2
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\n\r\n"
    whole = chunked % (half, body[:half], len(body) - half, body[half:])
    closed = b"HTTP/1.0 200 OK\r\n\r\n" + body
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "odd.sock"))
        listener.listen()
        serve(listener, whole, closed)
        for _ in range(2):
            assert Bookholder(socket=listener.getsockname(), timeout=10).prompt("answers/pieces").text() == "Hi"


def test_idle_connection_that_the_node_closed_is_replaced(start: Start) -> None:
    node = start()
    node.publish("a", "one")
    bhs = clients(node)
    for bh in bhs:
        assert bh.prompt("a").source == "replica"
    for _ in range(2):
        node.kill()
        node.start()
        assert [bh.prompt("a").source for bh in bhs] == ["replica", "replica"]


def test_access_token_that_expires_leaves_the_last_answer_and_an_error_in_the_log(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start()
    node.publish("a", "one")
    token = node.run("token", "create", "checkout", "--role", "reader").strip()
    bh = Bookholder(node.url, token=token)
    assert bh.prompt("a").source == "replica"
    node.run("token", "revoke", "checkout")
    for _ in range(2):
        p = bh.prompt("a")
        assert (p.text(), p.source, p.stale) == ("one", "memory", True)
    # There is no good copy of these.
    with pytest.raises(PromptUnavailable, match="status 401"):
        bh.prompt("b")
    assert bh.prompt("b", fallback="x").source == "fallback"
    assert bh.prompts(["a"])[0].source == "memory"
    # An error, and not for each call.
    [record] = caplog.records
    assert (record.name, record.levelname) == ("bookholder", "ERROR")
    assert record.getMessage().startswith(
        "the node refuses this application; until that is fixed it uses the last answer"
    )
    assert "status 401" in record.getMessage()
    monkeypatch.setattr(_core, "REFUSED_EVERY_S", 0.0)
    assert bh.prompt("a").source == "memory"
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    # An outage is told apart, once.
    node.kill()
    for _ in range(2):
        assert bh.prompt("a").source == "memory"
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR", "WARNING"]


def test_token_of_the_primary_that_a_replica_refuses_is_named_with_what_to_do(
    primary: Node, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = start(primary)
    monkeypatch.setenv("BOOKHOLDER_TOKEN", TOKEN)
    for bh in clients(replica):
        with pytest.raises(PromptUnavailable, match="unset BOOKHOLDER_TOKEN"):
            bh.prompt("answers/any")


STATUSES = {
    # What does not pass by itself, but says nothing about the prompt, such as an answer of a proxy.
    **dict.fromkeys((401, 403, 404, 405, 407, 410, 421, 431, 451), "ERROR"),
    **dict.fromkeys((408, 429, 500, 502, 503, 507), "WARNING"),
}


@pytest.mark.parametrize("status", STATUSES)
def test_status_that_says_nothing_about_the_prompt_leaves_the_last_answer(
    folder: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(folder / "node.sock")
    resolved = described("a", 1, "b3:" + "0" * 64, "production", {"text": "one"})
    body = json.dumps({"status": status, "code": "some_code", "detail": "why"}).encode()
    refusal = b"HTTP/1.1 %d Some\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)
    good = json.dumps(resolved).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(good), good)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = serve(listener, answer, refusal)
        bh = Bookholder(socket=path)
        assert [bh.prompt("a").source for _ in range(2)] == ["replica", "memory"]
        thread.join()
    assert [record.levelname for record in caplog.records] == [STATUSES[status]]


def test_client_finds_the_node_where_the_documentation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs/tasks/applications.md").read_text(encoding="utf-8")
    # The list that both clients are held to.
    listed = re.findall(
        r"^\d\. `([^`]+)`", page.partition("### Where they look for the node")[2].partition("###")[0], re.M
    )
    variables, places = listed[:2], listed[2:]
    assert (variables, len(places)) == (["BOOKHOLDER_SOCKET", "BOOKHOLDER_URL"], 3)
    sockets = [place for place in places if place.startswith("/")]
    there: set[str] = set(sockets)
    monkeypatch.setattr(os.path, "exists", lambda path: path in there)
    for path in sockets:
        assert Bookholder().address == f"unix:{path}"
        there.remove(path)
    assert Bookholder().address == places[-1]
    there = set(sockets)
    monkeypatch.setenv("BOOKHOLDER_URL", "http://127.0.0.1:1")
    assert Bookholder().address == "http://127.0.0.1:1"
    monkeypatch.setenv("BOOKHOLDER_SOCKET", "/a.sock")
    assert Bookholder().address == "unix:/a.sock"


def test_baked_prompts_answer_what_they_were_pulled_for(start: Start, folder: Path) -> None:
    node = start()
    node.publish("tone", "Be kind.")
    node.publish("support/agent", "{{> tone}}\nHelp {{shop}}.")
    node.publish("support/agent", "newer {{shop}}", "staging")
    node.run("pull", "--label", "production", "--out", str(folder / "baked"), "--inline")
    live = Bookholder(node.url).prompt("support/agent")
    node.kill()
    for place in (folder / "baked", folder / "baked" / "bookholder.lock"):
        bh = Bookholder(node.url, baked=place)
        for selector in ("", "@production", "@1", f"@{live.content_id}"):
            p = bh.prompt(f"support/agent{selector}", fallback="never")
            assert (p.source, p.stale, p.version, p.age) == ("baked", True, 1, None)
            assert (p.stamp, p.content_id, p.label) == (live.stamp, live.content_id, "production")
            assert (p.content, p.baggage, p.span_attributes()) == (live.content, live.baggage, live.span_attributes())
            assert p.text(shop="Globe") == "Be kind.\nHelp Globe."
        for reference, part in (
            ("support/agent@staging", "has `support/agent@1`, of production"),
            ("support/agent@2", "has `support/agent@1`, of production"),
            ("support/none", "does not have `support/none`"),
        ):
            with pytest.raises(PromptUnavailable) as raised:
                bh.prompt(reference)
            assert part in str(raised.value)
            assert bh.prompt(reference, fallback="x").source == "fallback"
    with pytest.raises(PromptUnavailable, match="no such file; write it with `bookholder pull --inline`"):
        Bookholder(node.url, baked=folder / "none").prompt("a")


def test_newly_pulled_folder_is_read_again(start: Start, folder: Path) -> None:
    node, baked = start(), folder / "baked"
    node.publish("a", "one")
    node.run("pull", "--label", "production", "--out", str(baked), "--inline")
    away = Bookholder(socket=folder / "none.sock", baked=baked)
    assert away.prompt("a").text() == "one"
    node.publish("a", "number two")
    node.run("pull", "--label", "production", "--out", str(baked), "--inline")
    assert away.prompt("a").text() == "number two"
    (baked / "bookholder.lock").write_text("version = 9\n")
    os.utime(baked / "bookholder.lock", ns=(1, 1))
    with pytest.raises(PromptUnavailable, match="upgrade it"):
        away.prompt("a")


def test_jinja_is_rendered_by_the_node(start: Start, folder: Path) -> None:
    node = start()
    content = {"text": "{% for x in xs %}{{ x }};{% endfor %}{{ a }}", "syntax": "jinja"}
    node.publish("a", content)
    bh = Bookholder(node.url)
    p = bh.prompt("a")
    node.publish("a", {"text": "newer {{ xs }}{{ a }}", "syntax": "jinja"})
    # The version that was asked for, whatever the label serves now.
    assert p.text(xs=[1, "b"], a=None) == "1;b;None"
    with pytest.raises(InvalidVariables) as missing:
        p.text(sx=[1])
    assert (missing.value.missing, missing.value.unknown) == (("a", "xs"), ("sx",))
    with pytest.raises(InvalidVariables, match="not JSON"):
        p.text(xs=object(), a=1)
    with pytest.raises(RenderFailed):
        p.text(xs=1, a=1)

    async def render() -> str:
        async with AsyncBookholder(socket=node.socket) as abh:
            return await (await abh.prompt("a@1")).text(xs=[], a=1.5)

    assert asyncio.run(render()) == "1.5"
    node.kill()
    with pytest.raises(PromptUnavailable, match="jinja is rendered by the node"):
        p.text(xs=[], a=1)


def test_many_prompts_are_of_one_state(primary: Node) -> None:
    names = [f"answers/many{n}" for n in range(20)]
    for name in names:
        primary.publish(name, name)
    bh = Bookholder(primary.url)
    assert [p.text() for p in bh.prompts(names)] == names
    with pytest.raises(PromptNotFound, match="answers/absent"):
        bh.prompts([*names, "answers/absent"])
    with pytest.raises(PromptNotFound, match=r"no answer for `x/a`, `x/b`: .*`x/a`; .*`x/b`"):
        bh.prompts(["x/a", names[0], "x/b"])
    with pytest.raises(ValueError, match="1001 references"):
        bh.prompts(["a"] * 1_001)
    assert bh.prompts([]) == []

    async def ask() -> list[str]:
        async with AsyncBookholder(socket=primary.socket) as abh:
            return [await p.text() for p in await abh.prompts(names[::-1])]

    assert asyncio.run(ask()) == names[::-1]


def test_many_prompts_are_remembered_and_baked_one_by_one(start: Start, folder: Path) -> None:
    node = start()
    for name in ("a", "b", "c"):
        node.publish(name, name)
    node.run("pull", "--label", "production", "--out", str(folder / "baked"), "--inline")
    bh = Bookholder(node.url, baked=folder / "baked")
    bh.prompts(["a", "b"])
    node.kill()
    assert [(p.text(), p.source) for p in bh.prompts(["a", "b", "c"])] == [
        ("a", "memory"),
        ("b", "memory"),
        ("c", "baked"),
    ]
    assert bh.prompt("a").source == "memory"


def test_list_begins_again_where_the_node_did(folder: Path) -> None:
    def page(name: str, cursor: str | None) -> bytes:
        resolved = described(name, 1, "b3:" + "0" * 64, "production", {"text": name})
        item = {"reference": f"{name}@production", "resolved": resolved}
        body = json.dumps({"position": "1.1", "answers": [item], **({"next": cursor} if cursor else {})}).encode()
        return b"HTTP/1.0 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    expired = b'{"code":"cursor_expired","detail":"begin again"}'
    gone = b"HTTP/1.0 410 Gone\r\ncontent-length: %d\r\n\r\n%b" % (len(expired), expired)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "pages.sock"))
        listener.listen()
        bh = Bookholder(socket=listener.getsockname(), timeout=10)
        serve(listener, page("old", "1.1:old"), gone, page("a", "1.2:a"), page("b", None)).join(0)
        assert [p.name for p in bh.prompts()] == ["a", "b"]
        serve(listener, *[page("old", "1.1:old"), gone] * 5)
        assert [(p.name, p.source) for p in bh.prompts()] == [("a", "memory"), ("b", "memory")]
        with pytest.raises(TypeError, match="references, or a label"):
            bh.prompts(["a"], label="b")  # type: ignore[call-overload]


def test_settings_come_from_arguments_then_the_environment(primary: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    primary.publish("answers/settings", "Hi")
    assert Bookholder().address in ("http://127.0.0.1:7071", "unix:/run/bookholder/replica.sock")
    monkeypatch.setenv("BOOKHOLDER_URL", primary.url)
    assert Bookholder().prompt("answers/settings").text() == "Hi"
    monkeypatch.setenv("BOOKHOLDER_SOCKET", primary.socket)
    assert Bookholder().address == f"unix:{primary.socket}"
    assert Bookholder().prompt("answers/settings").text() == "Hi"
    assert Bookholder("http://[::1]:7000/base/").address == "http://[::1]:7000/base"
    # What Kubernetes puts beside a Service of this name.
    monkeypatch.setenv("BOOKHOLDER_PORT", "tcp://10.0.0.1:7070")
    monkeypatch.setenv("BOOKHOLDER_SERVICE_HOST", "10.0.0.1")
    assert Bookholder().prompt("answers/settings").text() == "Hi"
    for wrong in (
        "localhost:7071",
        "ftp://x",
        "http://",
        "http://a:b",
        "http://a:0",
        "http://a?b",
        "unix:",
        "http://u@h",
    ):
        with pytest.raises(ValueError, match="invalid address"):
            Bookholder(wrong)
    with pytest.raises(ValueError, match="not both"):
        Bookholder("http://a", socket="/b")
    with pytest.raises(ValueError, match="header"):
        Bookholder(token="a\r\nb: c")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make a certificate")
def test_node_with_tls_is_asked_by_its_certificate(folder: Path) -> None:
    key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=node"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(make, check=True, capture_output=True)
    trusting = ssl.create_default_context(cafile=certificate)
    node = Node(folder / "tls", "serve", "--tls-cert", certificate, "--tls-key", key, tls=trusting)
    try:
        node.publish("a", "one")
        options: dict[str, Any] = {"url": node.url, "token": TOKEN, "tls": trusting}
        with Bookholder(**options, cache="events") as bh:
            assert bh.prompt("a").text() == "one"
            until("an answer from the cache", lambda: bh.prompt("a").source == "memory")
            bh.record(bh.prompt("a"), response_id="tls")
            assert bh.flush()

        async def ask() -> str:
            async with AsyncBookholder(**options) as abh:
                return await (await abh.prompt("a")).text()

        assert asyncio.run(ask()) == "one"
        with pytest.raises(PromptUnavailable, match=r"CERTIFICATE_VERIFY_FAILED"):
            Bookholder(node.url).prompt("a")

        async def mistrust() -> None:
            async with AsyncBookholder(node.url) as abh:
                await abh.prompt("a")

        with pytest.raises(PromptUnavailable, match=r"certificate verify failed"):
            asyncio.run(mistrust())
    finally:
        node.stop()


def test_stale_replica_says_so(start: Start) -> None:
    node = start()
    node.publish("a", "one")
    beside = start(node)
    bh = Bookholder(socket=beside.socket)
    until("the prompt on the replica", lambda: bh.prompt("a", fallback="").text() == "one")
    assert not bh.prompt("a").stale
    node.kill()
    stale = until("a stale replica", lambda: (p := bh.prompt("a")).stale and p)
    assert (stale.source, stale.text()) == ("replica", "one")
    shutil.rmtree(node.folder, ignore_errors=True)


def test_prompts_that_match_a_pattern_are_listed_and_remembered(start: Start, folder: Path) -> None:
    node = start()
    for name in ("support/agent", "support/deep/router", "sales/agent"):
        node.publish(name, name)
    node.publish("support/draft", "x", "staging")
    node.run("pull", "--label", "production", "--out", str(folder / "baked"), "--inline")
    bh = Bookholder(node.url)
    lists = {
        "support/**": ["support/agent", "support/deep/router"],
        "support/*": ["support/agent"],
        "*/agent": ["sales/agent", "support/agent"],
        "none/**": [],
    }
    for pattern, names in lists.items():
        found = bh.prompts(label="production", pattern=pattern)
        assert sorted((p.name, p.text(), p.source, p.label) for p in found) == [
            (name, name, "replica", "production") for name in names
        ]
    assert [p.reference for p in bh.prompts(label="staging")] == ["support/draft@staging"]
    assert len(bh.prompts()) == 3

    async def ask() -> list[str]:
        async with AsyncBookholder(socket=node.socket) as abh:
            return sorted(p.name for p in await abh.prompts(pattern="support/**"))

    assert asyncio.run(ask()) == lists["support/**"]
    node.kill()
    baked = Bookholder(node.url, baked=folder / "baked")
    for pattern, names in lists.items():
        for known, source in ((bh, "memory"), (baked, "baked")):
            found = known.prompts(pattern=pattern)
            assert sorted((p.name, p.source, p.stale) for p in found) == [(name, source, True) for name in names]
    # What was listed is known by name, too.
    assert bh.prompt("sales/agent").source == "memory"
    for known, part in ((bh, "cannot connect"), (baked, "is of production")):
        with pytest.raises(PromptUnavailable, match=r"\*\*@other`: .*" + part):
            known.prompts(label="other")
