"""What contents render to: the vectors that the server and every client share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bookholder import Bookholder, InvalidVariables, RenderFailed
from bookholder._template import Template

VECTORS = Path(__file__).parents[3] / "fixtures" / "render" / "vectors.json"


def expanded(value: Any) -> Any:
    if isinstance(value, dict):
        if "$repeat" in value:
            text, count = value["$repeat"]
            return text * count
        return {key: expanded(item) for key, item in value.items()}
    return [expanded(item) for item in value] if isinstance(value, list) else value


def run(vector: dict[str, Any]) -> dict[str, Any]:
    template = Template(expanded(vector["content"]))
    values, lists = expanded(vector.get("variables", {})), expanded(vector.get("messages", {}))
    try:
        rendered, remarks = template.render(values, lists, strict=vector.get("strict", False))
    except InvalidVariables as error:
        listed = {
            "missing": error.missing,
            "unknown": error.unknown,
            "wrong_type": [{"name": w.name, "expected": w.expected, "found": w.found} for w in error.wrong_type],
            "missing_placeholders": error.missing_placeholders,
            "unknown_placeholders": error.unknown_placeholders,
            "wrong_messages": [{"name": w.name, "index": w.index, "reason": w.reason} for w in error.wrong_messages],
        }
        shown = {key: list(names) for key, names in listed.items() if names}
        return {"error": {"kind": "variables", "message": str(error), **shown}}
    except RenderFailed as error:
        return {"error": {"message": str(error)}}
    result = {"text": rendered} if isinstance(rendered, str) else {"messages": rendered}
    if remarks:
        result["remarks"] = [{"code": r.code, "names": list(r.names), "message": r.message} for r in remarks]
    return result


def test_every_vector_renders_as_on_the_server() -> None:
    vectors = json.loads(VECTORS.read_text())
    assert len(vectors) >= 200
    for vector in vectors:
        expected = expanded(vector["expected"])
        if expected.get("error", {}).get("kind") not in (None, "variables"):
            # The message says the place, too.
            expected = {"error": {"message": expected["error"]["message"]}}
        # As text, since the order of keys counts, and 1.0 is not 1.
        assert json.dumps(run(vector)) == json.dumps(expected), vector["name"]


def test_hostile_texts_take_linear_time() -> None:
    size = 1 << 20
    for unit in ("{", "{{", "{{a", "{{ ", "{{>", "}}", "{{{a}}}", "{{>a{", "{{a ", "{{ a"):
        text = unit * (size // len(unit))
        template = Template({"text": text, "variables": [{"name": "b", "required": False}]})
        assert template.render({}, {})[0] == text
    spaces = "{{" * (size // 4) + " " * (size // 2)
    assert Template({"text": spaces}).render({}, {})[0] == spaces


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (float("nan"), "nan, which JSON does not have"),
        (float("-inf"), "-inf, which JSON does not have"),
        (2**53, "number up to 2^53 - 1"),
        (b"bytes", "not bytes"),
        (object(), "not object"),
        ({1}, "not set"),
        ("\ud800", "half of a surrogate pair"),
    ],
)
def test_value_that_json_does_not_have_is_refused(value: object, part: str) -> None:
    prompt = Bookholder.fake({"a": "{{v}}"}).prompt("a")
    with pytest.raises(InvalidVariables) as refused:
        prompt.text(v=value)
    assert part in str(refused.value)


def test_rendered_messages_are_the_callers_own() -> None:
    said = [{"role": "user", "content": [{"type": "text", "text": "{{a}}"}], "x": {"y": [1]}}]
    prompt = Bookholder.fake({"p": {"messages": said, "config": {"k": [1]}}}).prompt("p")
    first = prompt.messages(a="1")
    first[0]["x"]["y"].append(2)
    first[0]["content"].clear()
    prompt.config["k"].append(2)
    assert prompt.messages(a="2") == [{"role": "user", "content": [{"type": "text", "text": "2"}], "x": {"y": [1]}}]
    assert prompt.config == {"k": [1]}


def test_placeholder_takes_lists_and_objects_of_sdks() -> None:
    class Answer:
        def model_dump(self, **_: object) -> dict[str, str]:
            return {"role": "assistant", "content": "Hi"}

    prompt = Bookholder.fake({"p": [{"type": "placeholder", "name": "history"}]}).prompt("p")
    assert prompt.messages(history=[Answer()]) == [{"role": "assistant", "content": "Hi"}]
    with pytest.raises(InvalidVariables, match="`history` must have type list of messages, not str"):
        prompt.messages(history="Hi")
