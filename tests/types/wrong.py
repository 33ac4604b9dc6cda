"""What type checkers refuse: each line that ends in `# wrong` is an error, and no other."""

from prompts import AsyncBookholder, Bookholder

bookholder = Bookholder()
agent = bookholder.prompt("support/agent")
bookholder.prompt("support/agnet")  # wrong
bookholder.prompt("support/agent@staging")  # wrong
bookholder.prompt("support/agent", subjekt="ada")  # wrong
agent.messages(shop="Globe", n=3)  # wrong
agent.messages(shop="Globe", n=3, any=1, shp=2)  # wrong
agent.messages(shop=3, n=3, any=1)  # wrong
agent.openai(shop="Globe")  # wrong
agent.parse("")["answer"]  # wrong
agent.messages(shop="Globe", n=3, any=1, history="Hi")  # wrong
bookholder.prompt("support/plain").text({"x": 1})  # wrong
bookholder.prompt("support/split").text(both="b")  # wrong
bookholder.prompt("hostile/\"); import os #`${x}` \u2028*/x").text({"class": "a"})  # wrong
bookholder.prompt("hostile/self").text(self="a", str="c")  # wrong
tree = bookholder.prompt("support/tree").parse("")
number: int = tree["root"]["name"]  # wrong


async def later() -> str:
    report = await AsyncBookholder().prompt("support/report")
    return await report.text(rows=[])  # wrong
