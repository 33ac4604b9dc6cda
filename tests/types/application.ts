// What `tsc` says of an application whose prompts are typed.
import { Bookholder } from "bookholder";
import "./prompts.js";

export async function application(bookholder: Bookholder) {
    const agent = await bookholder.prompt("support/agent", { subject: "ada" });
    agent.messages({ shop: "Globe", n: 3, any: true });
    agent.messages({ shop: "Globe", n: 3, any: "x", tone: "kind", loud: false, history: [{ role: "user", content: "Hi" }] });
    // @ts-expect-error: not a prompt
    await bookholder.prompt("support/agnet");
    // @ts-expect-error: `any` is missing
    agent.messages({ shop: "Globe", n: 3 });
    // @ts-expect-error: an unknown variable
    agent.messages({ shop: "Globe", n: 3, any: 1, shp: 1 });
    // @ts-expect-error: another type
    agent.messages({ shop: 3, n: 3, any: 1 });
    const out = agent.parse("{}");
    out.reply satisfies string;
    out.team satisfies "billing" | "shipping" | null;
    out.topics?.[0]?.name satisfies string | undefined;
    // @ts-expect-error: no such field of the output
    out.answer;

    (await bookholder.prompt("support/plain")).text();
    (await bookholder.prompt("support/report")).parse("[]") satisfies string[];

    const split = await bookholder.prompt("support/split");
    split.text({ both: "b", old: "o" });
    // @ts-expect-error: `old` is missing in one of the versions
    split.text({ both: "b" });
    const kind = split.parse("{}");
    if (kind.kind === "new") kind.extra satisfies number | undefined;

    const tree = (await bookholder.prompt("support/tree")).parse("{}");
    tree.root.children?.[0]?.children?.[0]?.name satisfies string | undefined;

    const hostile = await bookholder.prompt("hostile/\"); import os #`${x}` \u2028*/x");
    hostile.text({ class: "a", self: "b", "ünïcode": "c" });
    hostile.parse("{}").class satisfies string;
}
