// Compiled by the tests, never run: the arguments fit the SDKs that they are for.
import type Anthropic from "@anthropic-ai/sdk";
import type { generateText, LanguageModel } from "ai";
import type { Bookholder } from "bookholder";
import type OpenAI from "openai";

export async function application(
    bookholder: Bookholder,
    openai: OpenAI,
    anthropic: Anthropic,
    generate: typeof generateText,
    model: LanguageModel,
) {
    const prompt = await bookholder.prompt("support/agent");
    const completion = await openai.chat.completions.create({ ...prompt.openai(), messages: prompt.messages() });
    await openai.chat.completions.create({ messages: [], ...prompt.openai() });
    const other = await openai.chat.completions.create(prompt.openai({ shop: "Globe" }));
    bookholder.record(prompt, { responseId: completion.id, model: completion.model, usage: completion.usage });
    bookholder.record(prompt, { responseId: other.id, usage: other.usage });

    const answer = await openai.responses.create({ ...prompt.responses({ shop: "Globe" }), stream: false });
    bookholder.record(prompt, { responseId: answer.id, usage: answer.usage });

    const message = await anthropic.messages.create(prompt.anthropic({ shop: "Globe" }));
    bookholder.record(prompt, { responseId: message.id, model: message.model, usage: message.usage });

    const text = await generate({ model, ...prompt.ai({ shop: "Globe" }), experimental_telemetry: prompt.telemetry() });
    bookholder.record(prompt, { responseId: text.response.id, usage: text.usage });
    const filled = await prompt.render({ shop: "Globe" });
    await openai.chat.completions.create(filled.openai());
    await anthropic.messages.create(filled.anthropic());
}
