// A route handler: POST /answer with {"customer": "…", "text": "…"}.
import { Bookholder } from "bookholder";
import { after } from "next/server";
import OpenAI from "openai";

// One client for the whole process; it connects at the first question.
const bookholder = new Bookholder();
let openai: OpenAI | undefined;

interface Question {
    customer: string;
    text: string;
}

export async function POST(request: Request): Promise<Response> {
    const { customer, text } = (await request.json()) as Question;
    const prompt = await bookholder.prompt("support/agent", { subject: customer });
    // Not at the top: `next build` loads this file without the key.
    openai ??= new OpenAI();
    const question = prompt.openai({ shop: "Globe", history: [{ role: "user", content: text }] });
    const response = await openai.chat.completions.create(question);
    bookholder.record(prompt, { responseId: response.id, model: response.model, usage: response.usage });
    // A serverless platform stops the process after the answer; elsewhere reports are sent anyway.
    after(() => bookholder.flush());
    const { source, stamp } = prompt;
    return Response.json({ id: response.id, text: response.choices[0]?.message.content, stamp, source });
}
