"""Advises an operator in a plant without a network: `advise.py "Pump 7 is hot"`.

The prompt is from a bundle that came on a USB stick; the model runs in the plant, and speaks OpenAI's API as vLLM,
llama.cpp and Ollama do (`OPENAI_BASE_URL`).
"""

import sys

from bookholder import Bookholder
from openai import OpenAI

STICK_DAYS = 35


def advise(bookholder: Bookholder, seen: str) -> str | None:
    prompt = bookholder.prompt("plant/advisor")
    # Without contact to its primary a replica is always stale, and its age is that of the bundle.
    days = (prompt.age or 0) / 86_400
    if days > STICK_DAYS:
        print(f"the prompts are {days:.0f} days old: bring a stick", file=sys.stderr)
    response = OpenAI().chat.completions.create(**prompt.openai(seen=seen))
    # It waits at the replica for the way back.
    bookholder.record(prompt, response_id=response.id, model=response.model, usage=response.usage)
    return f"{response.choices[0].message.content}\n({prompt.stamp})"


if __name__ == "__main__":
    with Bookholder() as bookholder:
        print(advise(bookholder, sys.argv[1]))
