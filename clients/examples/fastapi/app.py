"""A service that answers customers: `uvicorn app:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from bookholder import AsyncBookholder
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

bookholder = AsyncBookholder()
model = AsyncOpenAI()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await bookholder.aclose()  # Sends the reports that wait.


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    customer: str
    text: str
    locale: str = "en"


class Answer(BaseModel):
    id: str
    text: str | None
    stamp: str | None
    source: Literal["replica", "memory", "baked", "fallback"]


class Thumbs(BaseModel):
    up: bool


@app.post("/answers")
async def answer(question: Question) -> Answer:
    # The same customer gets the same version of a split, and rules can look at the locale.
    prompt = await bookholder.prompt("support/agent", subject=question.customer, attributes={"locale": question.locale})
    history = [{"role": "user", "content": question.text}]
    response = await model.chat.completions.create(**await prompt.openai(shop="Globe", history=history))
    bookholder.record(prompt, response_id=response.id, model=response.model, usage=response.usage)
    return Answer(id=response.id, text=response.choices[0].message.content, stamp=prompt.stamp, source=prompt.source)


@app.post("/answers/{response_id}/thumbs", status_code=204)
async def thumbs(response_id: str, given: Thumbs) -> None:
    bookholder.score(response_id, name="thumbs", value=given.up)
