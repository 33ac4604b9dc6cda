"""The keyword arguments of other SDKs, made from a version: model, parameters, tools, response format, messages.

Nothing of these SDKs is imported. What a version stores in the shape of one provider is converted to another's where
both have the same thing, and passed on unchanged where not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ._template import copied

Fields = dict[str, Any]

# What Anthropic requires, where the version names no limit.
MAX_TOKENS_DEFAULT = 4096


class Said(NamedTuple):
    """What a version says to a model; without messages, its settings alone."""

    name: str
    content: Mapping[str, Any]
    messages: Sequence[Fields] | None

    def model(self) -> tuple[str | None, Fields]:
        model = self.content.get("model") or {}
        return model.get("name"), copied(model.get("parameters", {}))


def openai(said: Said) -> Fields:
    """``chat.completions.create`` of OpenAI, and of everything that speaks like it."""
    model, parameters = said.model()
    call: Fields = {"model": model, **parameters} if model else parameters
    if tools := said.content.get("tools"):
        call["tools"] = [_openai_tool(tool) for tool in copied(tools)]
    schema = said.content.get("response_schema")
    if schema is not None and "response_format" not in call:
        call["response_format"] = {"type": "json_schema", "json_schema": _named_schema(said.name, schema)}
    if said.messages is not None:
        call["messages"] = [_openai_message(message) for message in said.messages]
    return call


def _openai_tool(tool: Any) -> Any:
    if not isinstance(tool, dict) or "function" in tool or not isinstance(tool.get("name"), str):
        return tool
    parameters = tool.get("input_schema", tool.get("parameters"))
    if parameters is None:
        return tool
    function = {key: tool[key] for key in ("name", "description") if key in tool}
    function["parameters"] = parameters
    if "strict" in tool:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _openai_message(message: Fields) -> Fields:
    message = dict(message)
    if message.get("role") == "model":
        message["role"] = "assistant"
    if isinstance(message.get("content"), list):
        message["content"] = [_openai_part(part) for part in message["content"]]
    return message


def _openai_part(part: Fields) -> Fields:
    kind = part.get("type")
    if kind in ("input_text", "output_text"):
        return {**part, "type": "text"}
    url = part.get("url") if kind == "image" else part.get("image_url")
    if kind in ("image", "image_url", "input_image") and isinstance(url, str):
        return {"type": "image_url", "image_url": {"url": url}}
    return part


def responses(said: Said) -> Fields:
    """``responses.create`` of OpenAI: messages as ``input``, tools and response format in its shape."""
    model, parameters = said.model()
    call: Fields = {"model": model, **parameters} if model else parameters
    for key in ("max_tokens", "max_completion_tokens"):
        if (value := call.pop(key, None)) is not None:
            call.setdefault("max_output_tokens", value)
    if (effort := call.pop("reasoning_effort", None)) is not None:
        call.setdefault("reasoning", {"effort": effort})
    call.pop("response_format", None)
    if tools := said.content.get("tools"):
        call["tools"] = [_responses_tool(_openai_tool(tool)) for tool in copied(tools)]
    schema = said.content.get("response_schema")
    if schema is not None:
        call.setdefault("text", {})["format"] = {"type": "json_schema", **_named_schema(said.name, schema)}
    if said.messages is not None:
        call["input"] = [item for message in said.messages for item in _responses_items(message)]
    return call


def _responses_tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    return {"type": "function", **function} if isinstance(function, dict) else tool


def _responses_items(message: Fields) -> Iterable[Fields]:
    role, content = message.get("role"), message.get("content")
    if role in ("tool", "function"):
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": _text_of(content)}
        return
    role = "assistant" if role == "model" else role
    if isinstance(content, list):
        yield {"role": role, "content": [_responses_part(part, role) for part in content]}
    elif content:
        yield {"role": role, "content": content}
    for call in message.get("tool_calls") or ():
        called = _called(call)
        arguments = called.get("arguments", "")
        yield {
            "type": "function_call",
            "call_id": call.get("id") if isinstance(call, dict) else None,
            "name": called.get("name"),
            "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
        }


def _responses_part(part: Fields, role: str | None) -> Fields:
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text"):
        return {**part, "type": "output_text" if role == "assistant" else "input_text"}
    url = _image_url(part)
    if url is None:
        return part
    place = part.get("image_url")
    detail = place.get("detail") if isinstance(place, dict) else part.get("detail")
    image: Fields = {"type": "input_image", "image_url": url}
    return {**image, "detail": detail} if detail is not None else image


def anthropic(said: Said) -> Fields:
    """``messages.create`` of Anthropic: the system text apart, tools and tool calls in its shape."""
    model, parameters = said.model()
    call: Fields = {"model": model, **parameters} if model else parameters
    limits = [call.pop(key, None) for key in ("max_tokens", "max_completion_tokens", "max_output_tokens")]
    call["max_tokens"] = next((limit for limit in limits if limit is not None), MAX_TOKENS_DEFAULT)
    if (stop := call.pop("stop", None)) is not None:
        call.setdefault("stop_sequences", [stop] if isinstance(stop, str) else stop)
    call.pop("response_format", None)
    if tools := said.content.get("tools"):
        call["tools"] = [_anthropic_tool(tool) for tool in copied(tools)]
    schema = said.content.get("response_schema")
    if schema is not None:
        call.setdefault("output_config", {"format": {"type": "json_schema", "schema": copied(schema)}})
    if said.messages is not None:
        if (system := _system(said.messages)) is not None:
            call["system"] = system
        call["messages"] = _merged(_anthropic_message(m) for m in said.messages if not _is_system(m))
    return call


def _is_system(message: Fields) -> bool:
    return message.get("role") in ("system", "developer")


def _system(messages: Sequence[Fields]) -> str | list[Any] | None:
    """The system messages as one text; as parts where one has more than text, such as cache control."""
    contents = [message.get("content") for message in messages if _is_system(message)]
    if not contents:
        return None
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(content for content in contents if isinstance(content, str))
    return [part for content in contents for part in _parts(content)]


def _parts(content: object) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [_anthropic_part(part) for part in content] if isinstance(content, list) else []


def _anthropic_tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return tool
    converted = {key: function[key] for key in ("name", "description") if key in function}
    converted["input_schema"] = function.get("parameters", {"type": "object"})
    return converted


def _anthropic_message(message: Fields) -> Fields:
    role, content = message.get("role"), message.get("content")
    if role in ("tool", "function"):
        said = content if isinstance(content, str) else _parts(content)
        result = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": said}
        return {"role": "user", "content": [result]}
    role = "assistant" if role in ("model", "assistant") else "user"
    calls = message.get("tool_calls") or ()
    if not calls and isinstance(content, str):
        return {"role": role, "content": content}
    return {"role": role, "content": [*_parts(content), *(_tool_use(call) for call in calls)]}


def _anthropic_part(part: Fields) -> Fields:
    if part.get("type") in ("input_text", "output_text"):
        return {**part, "type": "text"}
    url = _image_url(part)
    if url is None:
        return part
    data = re.fullmatch(r"data:([^;,]+);base64,(.*)", url, re.DOTALL)
    source = {"type": "base64", "media_type": data[1], "data": data[2]} if data else {"type": "url", "url": url}
    image: Fields = {"type": "image", "source": source}
    return {**image, "cache_control": part["cache_control"]} if "cache_control" in part else image


def _image_url(part: Fields) -> str | None:
    kind = part.get("type")
    if kind not in ("image", "image_url", "input_image"):
        return None
    place = part.get("url") if kind == "image" else part.get("image_url")
    url = place.get("url") if isinstance(place, dict) else place
    return url if isinstance(url, str) else None


def _tool_use(call: Any) -> Fields:
    called = _called(call)
    arguments = called.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = None
    given = arguments if isinstance(arguments, dict) else {}
    return {
        "type": "tool_use",
        "id": call.get("id") if isinstance(call, dict) else None,
        "name": called.get("name"),
        "input": given,
    }


def _called(call: Any) -> Fields:
    if not isinstance(call, dict):
        return {}
    function = call.get("function")
    return function if isinstance(function, dict) else call


def _merged(messages: Iterable[Fields]) -> list[Fields]:
    """Neighbours of one role together, as roles have to alternate."""
    merged: list[Fields] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1]["content"] = [*_parts(merged[-1]["content"]), *_parts(message["content"])]
        else:
            merged.append(message)
    return merged


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _named_schema(name: str, schema: Any) -> Fields:
    named: Fields = {"name": _schema_name(name), "schema": copied(schema)}
    return {**named, "strict": True} if _is_strict(schema) else named


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI takes a schema as strict: every object names all its fields as required, and allows no other."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or set(required) != set(schema.get("properties", {})):
            return False
    return all(map(_is_strict, schema.values()))


def _schema_name(name: str) -> str:
    """A name as OpenAI allows it for a schema.

    >>> _schema_name("support/größe")
    'support_gr__e'
    """
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name.encode("ascii", "replace").decode())[:64] or "response"


def text_of_response(response: Any) -> str | None:
    """The text of a response of one of these SDKs, of their JSON, or the text itself."""
    if isinstance(response, str):
        return response
    text = _get(response, "output_text")
    if isinstance(text, str):
        return text
    choices = _get(response, "choices")
    if isinstance(choices, list) and choices:
        content = _get(_get(choices[0], "message"), "content")
        return content if isinstance(content, str) else None
    content = _get(response, "content")
    if isinstance(content, list):
        texts = [_get(part, "text") for part in content]
        return "".join(text for text in texts if isinstance(text, str))
    return None


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else getattr(value, key, None)
