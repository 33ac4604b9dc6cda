"""Random templates and values, rendered by the node and by this client without a difference.

FUZZ_TEMPLATES=100000 FUZZ_SEED=1 pytest tests/test_fuzz.py
FUZZ_OUT=cases.json writes what was rendered in the form of fixtures/render/vectors.json, for the other clients
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest

from bookholder import InvalidVariables, RenderFailed
from bookholder._template import Template
from nodes import Node

TEMPLATES = int(os.environ.get("FUZZ_TEMPLATES", "10000"))
MESSAGES = 100

SPACES = [
    "",
    "",
    "",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\x0b",
    "\x85",
    "\xa0",
    "\u1680",
    "\u2003",
    "\u2028",
    "\u3000",
    "\u200b",
    "\x1c",
]
NAMES = [
    "a", "b", "aa", "a.b", "a-b", "_", "_1", "größe", "नाम", "名", "𝒳", "ⓐ", "aⅷ", "a²", "constructor", "__proto__",
    "x" * 100, "toString", "A", "ª", "ñ",
]  # fmt: skip
WRONG = [
    "",
    "1",
    "1a",
    "-",
    ".a",
    "a b",
    "a@b",
    "a:b",
    "²",
    "🙂",
    "x" * 101,
    "#a",
    "/a",
    "^a",
    "&a",
    "! a",
    "a|b",
    "'a'",
    ">",
]
LITERALS = [
    "x", " ", "\n", "{", "}", "{{", "}}", "{{{", "}}}", "{ {", "} }", "\\", "$1", "%s", "<b>", "é", "e\u0301", "🙂", "𝒳", "\x00",
    "\ufeff", "\u202e", '"', "'", "{%", "%}", "{#", "{{a", "a}}", "{{ a }", "long text " * 9,
]  # fmt: skip
VALUES: list[Any] = [
    "", "x", "{{a}}", "{{> b}}", "$1 \\1 %s {0}", "\n\t\x00", "🙂é\u0301", "<&>\"'", "1", "true", True, False, 0, 1, -1, 0.5, 1.0,
    -0.0, 1e16, 1e21, 1e300, 5e-324, 1e-5, 1e-6, 1e-7, 123456.789, 2**53 - 1, -(2**53) + 1, "long value " * 30,
]  # fmt: skip
BAD: list[Any] = [None, [], ["x"], {}, {"k": 1}]


class Chance(random.Random):
    """Random cases."""

    def tag(self) -> str:
        name = self.choice(NAMES) if self.random() < 0.8 else self.choice(WRONG)
        return "{" * self.choice((2, 2, 2, 2, 2, 1, 3, 4)) + self.choice(SPACES) + name + self.choice(SPACES) + "}}"

    def template(self) -> str:
        return "".join(
            self.tag() if self.random() < 0.5 else self.choice(LITERALS) for _ in range(self.randrange(1, 9))
        )

    def content(self) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        for number in range(MESSAGES):
            kind = self.random()
            if kind < 0.01:
                messages.append({"type": "placeholder", "name": f"p{number}"})
            elif kind < 0.2:
                messages.append({"role": "user", "content": [self.part() for _ in range(self.randrange(1, 4))]})
            else:
                messages.append({"role": self.choice(("system", "user", "assistant")), "content": self.template()})
        return {"syntax": "mustache" if self.random() < 0.95 else "plain", "messages": messages}

    def part(self) -> dict[str, Any]:
        text = self.template()
        return self.choice([
            {"type": "text", "text": text},
            {"type": "image", "url": text},
            {"type": "image_url", "image_url": {"url": text, "detail": text}},
            {"type": "input_image", "image_url": text},
            {"type": "document", "text": text, "source": {"url": text}},
        ])  # fmt: skip

    def declarations(self, used: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Variables that say more than that they are used."""
        declared = []
        for variable in used:
            kind = self.choice(("any", "any", "string", "number", "boolean"))
            fitting = [v for v in VALUES if kind == "any" or type_of(v) == kind]
            if self.random() < 0.3:
                declared.append({"name": variable["name"], "type": kind, "default": self.choice(fitting)})
            elif self.random() < 0.3:
                declared.append({"name": variable["name"], "type": kind, "required": self.random() < 0.5})
        return declared

    def values(self, variables: list[dict[str, Any]], *, fit: bool) -> dict[str, Any]:
        values = {}
        for variable in variables:
            kind = variable.get("type", "any")
            fitting = [v for v in VALUES if kind == "any" or type_of(v) == kind]
            if fit or self.random() < 0.9:
                if variable["required"] or self.random() < 0.7:
                    values[variable["name"]] = self.choice(fitting)
            elif self.random() < 0.5:
                values[variable["name"]] = self.choice(BAD + VALUES)
        if self.random() < 0.3:
            values["unknown"] = self.choice(VALUES + BAD)
        return values

    def lists(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        names = [m["name"] for m in messages if m.get("type") == "placeholder"] + ["unknown"]
        said = [
            {"role": "user", "content": self.template()},
            {"role": "assistant", "content": None, "tool_calls": [{}]},
        ]
        wrong = [{"role": "user"}, "x", {"role": "x", "content": "y"}]
        pick = lambda: self.choice(said if self.random() < 0.98 else wrong)  # noqa: E731
        return {name: [pick() for _ in range(self.randrange(3))] for name in names if self.random() < 0.8}


def type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def errors_of(error: InvalidVariables) -> list[str]:
    """The list in which the node names several problems."""
    return [
        *(f"`{name}` is required" for name in error.missing),
        *(f"`{name}` is not a variable of this prompt" for name in error.unknown),
        *(f"`{wrong.name}` is {wrong.found}, but must have type {wrong.expected}" for wrong in error.wrong_type),
        *(f"`{name}` is a placeholder and needs messages" for name in error.missing_placeholders),
        *(f"`{name}` is not a placeholder of this prompt" for name in error.unknown_placeholders),
        *(f"message {wrong.index} of `{wrong.name}`: {wrong.reason}" for wrong in error.wrong_messages),
    ]


def rendered(content: dict[str, Any], values: dict[str, Any], lists: dict[str, Any], strict: bool) -> dict[str, Any]:
    try:
        result, remarks = Template(content).render(values, lists, strict=strict)
    except InvalidVariables as error:
        errors = errors_of(error)
        return {"error": {"message": str(error)} if len(errors) == 1 else {"errors": errors}}
    except RenderFailed as error:
        return {"error": {"message": str(error)}}
    said: dict[str, Any] = {"messages": result}
    if remarks:
        said["remarks"] = [{"code": r.code, "names": list(r.names), "message": r.message} for r in remarks]
    return said


@pytest.mark.skipif(TEMPLATES == 0, reason="FUZZ_TEMPLATES is 0")
def test_random_templates_render_as_by_the_node(primary: Node) -> None:
    seed = int(os.environ.get("FUZZ_SEED", random.randrange(2**32)))
    print(f"FUZZ_SEED={seed}")
    chance = Chance(seed)
    cases, done = [], 0
    while done < TEMPLATES:
        content = chance.content()
        body = {"content": content, "message": "why"}
        reply = primary.call("POST", "/v1/prompts/fuzz/versions", body)
        if reply.status >= 300:
            # A template with a left include cannot be published.
            assert b"include" in reply.body or b"prompt" in reply.body, reply.body
            continue
        reference = f"fuzz@{reply.json()['version']['number']}"
        served = primary.ok("GET", f"/v1/resolve/{reference}")["content"]
        declared = chance.declarations(served.get("variables", []))
        if declared and served["syntax"] == "mustache":
            body["content"] = {**content, "variables": declared}
            version = primary.ok("POST", "/v1/prompts/fuzz/versions", body)["version"]["number"]
            reference = f"fuzz@{version}"
            served = primary.ok("GET", f"/v1/resolve/{reference}")["content"]
        for fit in (True, True, False):
            values = chance.values(served.get("variables", []), fit=fit)
            lists, strict = chance.lists(served["messages"]), chance.random() < 0.2
            request = {"variables": values, "messages": lists, "strict": strict}
            answer = primary.call("POST", f"/v1/render/{reference}", request).json()
            if "detail" in answer:
                errors = answer.get("errors")
                expected = {"error": {"errors": errors} if errors else {"message": answer["detail"]}}
            else:
                expected = {key: answer[key] for key in ("messages", "remarks") if answer.get(key)}
                expected.setdefault("messages", [])
            # As text: the order of keys counts, and 1.0 is not 1.
            assert json.dumps(rendered(served, values, lists, strict)) == json.dumps(expected), f"FUZZ_SEED={seed}"
            if "error" not in expected:
                cases.append({"name": f"{seed}-{len(cases)}", "content": served, **request, "expected": expected})
        done += MESSAGES
    assert len(cases) >= TEMPLATES // MESSAGES, "most cases can be rendered"
    if out := os.environ.get("FUZZ_OUT"):
        with open(out, "w", encoding="utf-8") as file:
            json.dump(cases, file)
