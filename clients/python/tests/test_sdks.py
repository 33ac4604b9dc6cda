"""The arguments of other SDKs, and OpenTelemetry."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bookholder import AsyncBookholder, AsyncPrompt, Bookholder, BookholderError, Prompt
from nodes import Node, python, until

CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"sku": "7"}'}}
TOOL = {"type": "function", "function": {"name": "look_up", "description": "d", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
MESSAGES = [
    {"role": "system", "content": "Help {{shop}}."},
    {"role": "developer", "content": "Be brief."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "What is this?"}, {"type": "image", "url": "https://x/{{shop}}"}],
    },
    {"role": "model", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "a shoe", "tool_call_id": "c1"},
    {"role": "user", "content": "Thanks"},
]


def prompt(**content: Any) -> Prompt:
    whole = {
        "messages": MESSAGES,
        "model": {"name": "m", "parameters": {"temperature": 0.2, "max_tokens": 9, "stop": "x"}},
    }
    return Bookholder.fake({"support/agent": {**whole, "tools": [TOOL], "response_schema": SCHEMA, **content}}).prompt(
        "support/agent"
    )


def test_openai_gets_messages_tools_and_the_response_format() -> None:
    call = prompt().openai(shop="Globe")
    messages = call.pop("messages")
    assert call == prompt().openai()
    assert call == {
        "model": "m",
        "temperature": 0.2,
        "max_tokens": 9,
        "stop": "x",
        "tools": [TOOL],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "agent", "schema": SCHEMA, "strict": True},
        },
    }
    assert [message["role"] for message in messages] == ["system", "developer", "user", "assistant", "tool", "user"]
    assert messages[2]["content"][1] == {"type": "image_url", "image_url": {"url": "https://x/Globe"}}


def test_schema_that_openai_does_not_take_as_strict_is_not_said_to_be() -> None:
    for schema in (
        {**SCHEMA, "required": []},
        {"type": "object", "properties": {"a": {}}},
        {"anyOf": [{"type": "object"}]},
    ):
        named = prompt(response_schema=schema).openai()["response_format"]["json_schema"]
        assert "strict" not in named
    own = {"name": "m", "parameters": {"response_format": {"type": "json_object"}}}
    assert prompt(model=own).openai()["response_format"] == {"type": "json_object"}


def test_responses_gets_items() -> None:
    call = prompt().responses(shop="Globe")
    assert call["max_output_tokens"] == 9
    assert call["tools"] == [{"type": "function", **TOOL["function"]}]  # type: ignore[dict-item]
    assert call["text"]["format"] == {"type": "json_schema", "name": "agent", "schema": SCHEMA, "strict": True}
    assert call["input"] == [
        {"role": "system", "content": "Help Globe."},
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "https://x/Globe"},
            ],
        },
        {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": '{"sku": "7"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "a shoe"},
        {"role": "user", "content": "Thanks"},
    ]


def test_anthropic_gets_system_apart_and_roles_that_alternate() -> None:
    assert prompt().anthropic(shop="Globe") == {
        "model": "m",
        "temperature": 0.2,
        "max_tokens": 9,
        "stop_sequences": ["x"],
        "tools": [{"name": "look_up", "description": "d", "input_schema": {"type": "object"}}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "system": "Help Globe.\n\nBe brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image", "source": {"type": "url", "url": "https://x/Globe"}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c1", "name": "look_up", "input": {"sku": "7"}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "a shoe"},
                    {"type": "text", "text": "Thanks"},
                ],
            },
        ],
    }


def test_anthropic_keeps_its_own_shapes() -> None:
    cached = {"type": "text", "text": "Long", "cache_control": {"type": "ephemeral"}}
    tool = {"name": "t", "input_schema": {"type": "object"}}
    data = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    own = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    messages = [{"role": "system", "content": [cached]}, {"role": "user", "content": [data, own]}]
    call = prompt(messages=messages, tools=[tool]).anthropic({})
    assert call["system"] == [cached]
    assert call["tools"] == [tool]
    assert call["messages"] == [{"role": "user", "content": [own, own]}]
    converted = prompt(tools=[tool]).openai()["tools"]
    assert converted == [{"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}]


def test_text_prompt_is_a_message_of_the_user() -> None:
    p = Bookholder.fake({"a": "Hi {{x}}"}).prompt("a")
    assert p.openai(x=1) == {"messages": [{"role": "user", "content": "Hi 1"}]}
    assert p.anthropic(x=1) == {"max_tokens": 4096, "messages": [{"role": "user", "content": "Hi 1"}]}


def test_structured_output_is_read_from_every_sdk() -> None:
    class Part:
        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)

    p, text = prompt(), json.dumps({"a": "b"})
    for response in (
        text,
        {"choices": [{"message": {"content": text}}]},
        Part(choices=[Part(message=Part(content=text))]),
        Part(output_text=text),
        Part(content=[Part(text=text)]),
        {"content": [{"type": "text", "text": text}]},
    ):
        assert p.parse(response) == {"a": "b"}
    for wrong in ("no JSON", {"choices": []}, 3, None):
        with pytest.raises(BookholderError):
            p.parse(wrong)


def test_linked_block_names_the_version_on_span_and_baggage(primary: Node) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    primary.publish("sdks/linked", "Hi")
    bh = Bookholder(primary.url)
    p = bh.prompt("sdks/linked")
    with tracer.start_as_current_span("call") as span:
        with p.linked():
            assert baggage.get_baggage("gen_ai.prompt.name") == "sdks/linked"
            assert baggage.get_baggage("bookholder.stamp") == p.stamp
            bh.record(p, response_id="chatcmpl-linked")
        assert baggage.get_baggage("gen_ai.prompt.name") is None
    attributes = exporter.get_finished_spans()[0].attributes
    assert attributes is not None
    assert {**attributes} == p.span_attributes()
    assert attributes["langfuse.observation.prompt.version"] == "1"
    assert bh.flush()
    context = span.get_span_context()
    recorded = primary.run("trace", f"{context.trace_id:032x}-{context.span_id:016x}", "--json")
    assert "chatcmpl-linked" in recorded
    assert not trace.get_current_span().get_span_context().is_valid


def test_prompt_marks_the_current_span(primary: Node) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    primary.publish("sdks/marked", "Hi")
    primary.publish("sdks/other", "Hi")

    def attributes() -> dict[str, Any]:
        found = exporter.get_finished_spans()[-1].attributes
        return {**found} if found else {}

    for bh in (Bookholder(primary.url), Bookholder(primary.url, cache="events")):
        for _ in range(3):
            with tracer.start_as_current_span("call"):
                p = bh.prompt("sdks/marked")
            assert attributes() == p.span_attributes()
        until("an answer from memory", lambda bh=bh: bh._cache is None or bh.prompt("sdks/marked").source == "memory")
        with tracer.start_as_current_span("call"):
            p = bh.prompt("sdks/marked")
        assert attributes() == p.span_attributes()
        # A span has room for one.
        with tracer.start_as_current_span("call"):
            bh.prompts(["sdks/marked", "sdks/other"])
        assert attributes() == {}
        bh.close()
    with tracer.start_as_current_span("call"):
        Bookholder(primary.url, mark_spans=False).prompt("sdks/marked")
    assert attributes() == {}

    async def ask() -> AsyncPrompt:
        async with AsyncBookholder(primary.url) as bh:
            with tracer.start_as_current_span("call"):
                return await bh.prompt("sdks/marked")

    assert asyncio.run(ask()).span_attributes() == attributes()


def test_client_without_opentelemetry_does_not_import_it() -> None:
    program = "import sys, bookholder; bookholder.Bookholder.fake({'a': 'x'}).prompt('a'); print(*sys.modules)"
    assert "opentelemetry" not in python("-c", program).stdout


def test_baggage_header_is_that_of_the_node(primary: Node) -> None:
    primary.publish("sdks/baggage", "Hi")
    answer = primary.ok("GET", "/v1/resolve/sdks/baggage")
    assert Bookholder(primary.url).prompt("sdks/baggage").baggage == answer["telemetry"]["baggage"]
