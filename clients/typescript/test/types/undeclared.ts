// Compiled by the tests, never run: without declarations every name and variable is accepted.
import { Bookholder, PromptUnavailable } from "bookholder";

export async function application(bookholder: Bookholder, name: string) {
    const prompt = await bookholder.prompt(name);
    prompt.messages();
    prompt.messages({ anything: 1, history: [{ role: "user", content: "Hi" }] });
    prompt.parse("{}") satisfies unknown;
    prompt.version satisfies number | null;
    const [first] = await bookholder.prompts(["a", "b"]);
    bookholder.record("a@1+000000000000", { responseId: "x" });
    bookholder.record(first, { usage: { prompt_tokens: 1 } });
    // @ts-expect-error: no such setting
    new Bookholder({ adress: "x" });
    new PromptUnavailable("a", []).reasons satisfies readonly string[];
    bookholder.on("changed", (names) => names satisfies readonly string[]) satisfies () => void;
    // @ts-expect-error: no such event
    bookholder.on("change", () => undefined);
}
