"""Prompt files, lock files and YAML: what `bookholder pull` writes is read as the node serves it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from bookholder import Bookholder, _lockfile, _prompt_file, _yaml
from nodes import Node

TEXTS = [
    "", "\n", "a", "a\n", "a\n\n", " a ", "---", "---\na\n---\n", "\ufeffx", "a\r", "a\r\nb\rc\n", "\r\n", "\t", "# a",
    "- a",
    '{{role "system"}}', '\\{{role "system"}}', "{{role system}}", '{{role "user" }} x', "{{history}}", "\\{{history}}",
    '{{media url="x"}}', "{{media url=photo}}", '{{section "x"}}', '{{placeholder "p"}}', "{{role",
    '{{ role "model" }}',
    "{{#a}}{{/a}}", "{{{x}}}", "{{name}}", "a: b", "'", '"', "null", "true", "1.0", "01", "~", "é\u0301 🙂 \u2028 \x85",
    "x\x00y\x07", "{{> }}", "yes", "a\\", "\\\\{{history}}",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 1.0, -0.0, 0.1, 1e300, 1e-7, 9007199254740991, "", "x", "yes", "no", "null", "1", "01", "0x1",
    "1e3",
    "~", "- a", "a: b", "# c", " a", "a ", "a\nb", "a\n", "\n", "\t", "'", '"', "\\", "é", "🙂", "\u2028", "\x85",
    "\x00",
    "[", "{a}", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "12:30", "2020-01-01", [], {}, [[]], [{}], {"": ""},
    {"a b": 1, "yes": 2, "1": 3, "#": 4, "a: b": 5, "é\n": 6}, [1, [2, {"x": [3]}], "y"], "long " * 40,
]  # fmt: skip


def random_value(random: random.Random, depth: int) -> Any:
    kind = random.random()
    if depth and kind < 0.2:
        return [random_value(random, depth - 1) for _ in range(random.randrange(4))]
    if depth and kind < 0.4:
        keys = random.sample(["a", "b c", "", "yes", "1", "#x", "é", "x: y", "-", "?"], random.randrange(4))
        return {key: random_value(random, depth - 1) for key in keys}
    return random.choice(VALUES)


def random_content(random: random.Random) -> dict[str, Any]:
    text = lambda: "".join(random.choice(TEXTS) + random.choice(["", " ", "\n"]) for _ in range(random.randrange(1, 5)))  # noqa: E731
    content: dict[str, Any] = {"syntax": random.choice(["mustache", "plain"])}
    if random.random() < 0.5:
        content["text"] = text()
    else:
        messages = []
        for number in range(random.randrange(1, 5)):
            kind = random.random()
            if kind < 0.2:
                messages.append({"type": "placeholder", "name": random.choice(["history", f"p{number}", "examples"])})
            elif kind < 0.4:
                parts = [
                    {"type": "text", "text": text()},
                    {"type": "image", "url": random.choice(["u", "{{photo}}", 'a"b'])},
                ]
                random.shuffle(parts)
                messages.append({"role": "user", "content": parts[: random.randrange(1, 3)]})
            elif kind < 0.5:
                messages.append({"role": "assistant", "content": None, "tool_calls": [{"id": text()}]})
            else:
                messages.append({"role": random.choice(["system", "user", "model"]), "content": text()})
        content["messages"] = messages
    for key in ("config", "response_schema"):
        if random.random() < 0.5:
            content[key] = {"k": random_value(random, 3), "l": random.choice(VALUES)}
    if random.random() < 0.4:
        content["model"] = {"name": "gpt-5", "parameters": {"t": random_value(random, 2)}}
    if random.random() < 0.4:
        content["tools"] = [random_value(random, 3) for _ in range(2)]
    return content


def test_pulled_contents_are_those_that_the_node_serves(primary: Node, folder: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    contents = [random_content(chance) for _ in range(150)]
    contents += [{"text": "x", "syntax": "plain", "config": {"v": value}} for value in VALUES]
    contents += [{"text": text, "syntax": "plain"} for text in TEXTS]
    contents += [
        {"text": "x", "config": {"big": ["[" * 3_000, "é🙂" * 100]}},
        {"text": "x", "config": {"big": "a\n" * 40_000}},
    ]
    published = {}
    for number, content in enumerate(contents):
        body = {"content": content, "message": "why", "labels": ["files"]}
        reply = primary.call("POST", f"/v1/prompts/files%2Fp{number}/versions", body)
        # Some contents are none, such as a variable that is also a placeholder.
        if reply.status < 300:
            published[f"files/p{number}"] = content
    assert len(published) > 150
    primary.run("pull", "--label", "files", "--out", str(folder / "pulled"), "--inline")
    away, beside = Bookholder(socket=folder / "none.sock", baked=folder / "pulled"), Bookholder(primary.url)
    for name in published:
        live, baked = beside.prompt(f"{name}@files"), away.prompt(f"{name}@files")
        assert baked.source == "baked"
        # As text: the order of keys counts, and 1.0 is not 1.
        for key, value in live.content.items():
            assert json.dumps(baked.content.get(key, [])) == json.dumps(value), (name, key)
        assert baked.content.get("variables", []) == live.content.get("variables", [])
        assert baked.content.keys() - live.content.keys() <= {"variables"}
        assert baked.stamp == live.stamp


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("a: 1\nb:\n  - x\n  - y: z\n    w: [1, {k: v}]\n", {"a": 1, "b": ["x", {"y": "z", "w": [1, {"k": "v"}]}]}),
        ("a: |\n  one\n   two\n\nb: >-\n  x\n  y\n\n  z\n", {"a": "one\n two\n", "b": "x y\nz"}),
        ("a: |+\n  x\n\nb: |2\n   y\n", {"a": "x\n\n", "b": " y\n"}),
        ("a: 'it''s' # c\nb: \"\\u00e9\\n\\U0001F642\\\\\"\n", {"a": "it's", "b": "é\n🙂\\"}),
        ("# c\n\na: plain text # c\nb: x#y\nc: a\n  b\n", {"a": "plain text", "b": "x#y", "c": "a b"}),
        ("a: {b: [1,\n  2], c: 'x\n   y'}\n", {"a": {"b": [1, 2], "c": "x y"}}),
        ("a:\n- 1\n- - 2\n  - 3\n-\n  b: c\n", {"a": [1, [2, 3], {"b": "c"}]}),
        ('"a b": ~\n\'c\': null\nd:\ne: ""\n', {"a b": None, "c": None, "d": None, "e": ""}),
        ("a: -1\nb: 1.50\nc: 1e3\nd: 1_0\ne: 0x1\n", {"a": -1, "b": 1.5, "c": 1000.0, "d": "1_0", "e": "0x1"}),
        ("", {}),
    ],
)
def test_yaml_is_read(written: str, read: dict[str, Any]) -> None:
    assert json.dumps(_yaml.parse(written)) == json.dumps(read)
    assert json.dumps(_yaml.parse(written.replace("\n", "\r\n"))) == json.dumps(read)


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("a: &x 1\n", "line 1 of the front matter has a value that begins with &"),
        ("a: 1\nb: *x\n", "line 2 of the front matter has a value that begins with *"),
        ("a: !t 1\n", "begins with !"),
        ("a: 1\na: 2\n", "repeats the key `a`"),
        ("a: [1\n", "brackets without their ]"),
        ("a: 'x\n", "quote that is not closed"),
        ('a: "\\q"\n', "the escape \\q"),
        ("a: 'x' y\n", "text after a value"),
        ("- a\n", "is a map of keys"),
        ("? a\n: b\n", "`? key`"),
        ("a: " + "[" * 100 + "\n", "nested too deeply"),
    ],
)
def test_yaml_that_is_not_read_is_an_error_with_its_line(written: str, part: str) -> None:
    with pytest.raises(ValueError) as wrong:
        _yaml.parse(written)
    assert part in str(wrong.value)


def test_prompt_file_as_people_write_it() -> None:
    file = """---
# How we answer
model: gpt-5
parameters: {temperature: 0.2}
variables:
  shop: {type: string, required: true}
  tone: {default: friendly}
labels: [staging]
---
{{role "system"}} You answer for {{shop}}. \\{{role "x"}}
{{history}}
  {{role "user"}}
{{question}} {{media url=photo}}
"""
    assert _prompt_file.parse(file) == {
        "syntax": "mustache",
        "messages": [
            {"role": "system", "content": 'You answer for {{shop}}. {{role "x"}}'},
            {"type": "placeholder", "name": "history"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "{{question}}"}, {"type": "image", "url": "{{photo}}"}],
            },
        ],
        "variables": [
            {"name": "photo", "required": True},
            {"name": "question", "required": True},
            {"name": "shop", "required": True, "type": "string"},
            {"name": "tone", "required": False, "default": "friendly"},
        ],
        "model": {"name": "gpt-5", "parameters": {"temperature": 0.2}},
    }
    with pytest.raises(ValueError, match="not closed"):
        _prompt_file.parse("---\nmodel: a\n")


HEAD = 'version = 1\nlabel = "production"\nregistry = "r"\nposition = "1.7"\n\n'


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("version = 2\n", "has version 2"),
        ("", "has version None"),
        (HEAD + "[[prompt]]\nname = 3\n", "has no name"),
        (HEAD + '[[prompt]]\nname = "a"\nversion = 1\ncontent_id = "b3:x"\nfile = "../a"\n', "unexpected path"),
        (HEAD + '[[prompt]]\nname = "a"\nversion = 1\ncontent_id = "b3:x"\nfile = "/a"\n', "unexpected path"),
        (HEAD + "what\n", "line 6"),
        (HEAD + "a = [1\n", "line 6"),
    ],
)
def test_wrong_lock_file_is_an_error(text: str, part: str) -> None:
    with pytest.raises(ValueError) as wrong:
        _lockfile.parse(text)
    assert part in str(wrong.value)
