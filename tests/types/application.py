"""What type checkers accept of an application whose prompts are typed."""

from prompts import AsyncBookholder, Bookholder

bookholder = Bookholder()
agent = bookholder.prompt("support/agent", subject="ada", attributes={"locale": "de-AT"})
agent.messages(shop="Globe", n=3, any=True)
agent.messages(shop="Globe", n=3, any="x", tone="kind", loud=False, history=[{"role": "user", "content": "Hi"}])
agent.openai()
agent.openai(shop="Globe", n=3.5, any="x")
out = agent.parse("{}")
reply: str = out["reply"]
team: str | None = out["team"]
if "topics" in out:
    weights: list[int] = [topic["weight"] for topic in out["topics"] if "weight" in topic]

bookholder.prompt("support/plain@production").text()
bookholder.prompt("support/report").text(rows=[1], who=None)
lines: list[str] = bookholder.prompt("support/report").parse("[]")

bookholder.prompt("support/split").text(both="b", old="o")
kind = bookholder.prompt("support/split").parse("{}")
if kind["kind"] == "new":
    extra: int | None = kind.get("extra")

tree = bookholder.prompt("support/tree").parse("{}")
for child in tree["root"].get("children", []):
    name: str = child["name"]

hostile = bookholder.prompt("hostile/\"); import os #`${x}` \u2028*/x")
hostile.text({"class": "a", "self": "b", "ünïcode": "c"})
constant: str = hostile.parse("{}")["class"]
bookholder.prompt("hostile/self").text(self="a", variables="b", str="c")


async def later() -> str:
    report = await AsyncBookholder().prompt("support/report")
    return await report.text(rows=[], who=1)
