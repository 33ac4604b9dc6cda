"""Answers one question, with whichever provider the prompt names: `answer.py "Where is my order?"`."""

import sys

import litellm
from bookholder import Bookholder


def answer(bookholder: Bookholder, question: str) -> str | None:
    prompt = bookholder.prompt("support/agent")
    # The version names the model, such as `gpt-4o` or `anthropic/claude-sonnet-4-5`: deploying one changes providers.
    request = prompt.openai(shop="Globe", history=[{"role": "user", "content": question}])
    response = litellm.completion(**request, metadata=prompt.span_attributes())
    bookholder.record(
        prompt,
        response_id=response.id,
        model=response.model,
        usage=response.usage,
        cost_usd=litellm.completion_cost(response),
    )
    return response.choices[0].message.content


if __name__ == "__main__":
    with Bookholder() as bookholder:
        print(answer(bookholder, sys.argv[1]))
