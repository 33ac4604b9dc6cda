// Compiled by the tests, never run: what `tsc` says of an application whose prompts are declared.
import { Bookholder } from "bookholder";
import type { Message, PromptReference, Variables } from "bookholder";

declare module "bookholder" {
    interface Prompts {
        "support/agent": {
            vars: { shop: string; tone?: string };
            lists: "history" | "examples";
            out: { reply: string; escalate: boolean };
        };
        "support/tone": { vars: {} };
        "support/sum": { vars: { products: unknown[]; total: number } };
    }
}

export async function application(bookholder: Bookholder, history: Message[]) {
    const agent = await bookholder.prompt("support/agent", { subject: "ada", attributes: { locale: "de-AT" } });
    await bookholder.prompt("support/agent@staging");
    await bookholder.prompt("support/agent@7");
    // @ts-expect-error: not a prompt
    await bookholder.prompt("support/agnet");
    // @ts-expect-error: not a prompt either
    await bookholder.prompt("support/agnet@staging");

    agent.messages({ shop: "Globe" });
    agent.messages({ shop: "Globe", tone: "kind", history, examples: [] });
    agent.anthropic({ shop: "Globe", history });
    agent.ai({ shop: "Globe" });
    agent.openai();
    agent.openai({ shop: "Globe" });
    // @ts-expect-error: `shop` is missing
    agent.messages({});
    // @ts-expect-error: the same without an argument
    agent.messages();
    // @ts-expect-error: an unknown variable
    agent.messages({ shop: "Globe", shp: "Globe" });
    // @ts-expect-error: another type
    agent.messages({ shop: 3 });
    // @ts-expect-error: a list of messages
    agent.messages({ shop: "Globe", history: "Hi" });
    // @ts-expect-error: `shop` is missing
    agent.openai({ history });
    // @ts-expect-error: `shop` is missing
    agent.anthropic();
    // @ts-expect-error: `shop` is missing
    await agent.render({});

    const out = agent.parse("{}");
    out.reply satisfies string;
    out.escalate satisfies boolean;
    // @ts-expect-error: no such field of the output
    out.answer;

    const tone = await bookholder.prompt("support/tone");
    tone.text();
    tone.text({});
    // @ts-expect-error: it has no variables
    tone.text({ shop: "Globe" });
    tone.parse("1") satisfies unknown;

    const [first, second] = await bookholder.prompts(["support/agent", "support/sum@latest"]);
    first.messages({ shop: "Globe" });
    second.text({ products: [], total: 3 });
    // @ts-expect-error: of the other prompt
    second.text({ shop: "Globe" });
    // @ts-expect-error: not a prompt
    await bookholder.prompts(["support/agnet"]);
    (await bookholder.prompts({ label: "production", pattern: "support/**" }))[0]?.messages({ anything: 1 });

    bookholder.record(agent, { responseId: "chatcmpl-9x" });
    bookholder.score({ name: "thumbs", value: 1, responseId: "chatcmpl-9x" });
    // @ts-expect-error: a score has a value
    bookholder.score({ name: "thumbs" });

    const name: PromptReference = "support/tone";
    const values: Variables<"support/agent@staging"> = { shop: "Globe" };
    // A name that is only known at run time.
    const read: string = name;
    await bookholder.prompt(read as PromptReference);
    return values;
}
