"""A chain whose first step is the prompt: `answer.py "Where is my order?"`."""

import sys

from bookholder import Bookholder
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI

bookholder = Bookholder()
model = ChatOpenAI()


def ask(question: str) -> AIMessage:
    """Asks for the prompt at each call of the chain, so that a rollback holds from the next one."""
    prompt = bookholder.prompt("support/agent")
    # Model, parameters, tools and response format are those of the version.
    bound = model.bind(**prompt.openai())
    messages = prompt.messages(shop="Globe", history=[{"role": "user", "content": question}])
    response = bound.invoke(messages, config={"metadata": prompt.span_attributes()})
    said = response.response_metadata
    bookholder.record(prompt, response_id=said["id"], model=said["model_name"], usage=said["token_usage"])
    return response


chain = RunnableLambda(ask) | StrOutputParser()

if __name__ == "__main__":
    with bookholder:
        print(chain.invoke(sys.argv[1]))
