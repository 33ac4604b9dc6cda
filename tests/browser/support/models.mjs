// A server that speaks OpenAI's chat API and answers by rule, so that evaluations need no model and no network.
//
// | model | answer |
// |---|---|
// | `sum` | the sum of `A + B` in the last message; one too much if a system text says `guess` |
// | `upper` | the last message in upper case |
// | `judge` | for a rubric with a text in double quotes: whether the graded text contains it |
// | `waits` | the last message, when `release` is called |
// | any other | the last message |

import { once } from "node:events";
import { createServer } from "node:http";

/** Tokens that each answer says it used; with the price of `PRICES`, a tenth of a cent. */
const USAGE = { prompt_tokens: 100, completion_tokens: 100 };

/** The text of a message. */
const said = ({ content }) => (typeof content === "string" ? content : content.map((part) => part.text ?? "").join(""));

const RULES = {
  sum(last, system) {
    const [, left, right] = /(\d+)\s*\+\s*(\d+)/.exec(last) ?? [];
    return left ? `${Number(left) + Number(right) + (system.includes("guess") ? 1 : 0)}` : "I do not know";
  },
  upper: (last) => last.toUpperCase(),
  judge(last, system) {
    const prompt = `${system}\n${last}`;
    const fenced = (name) => new RegExp(`<${name} (\\S+)>\\n([^]*)\\n</${name} \\1>`).exec(prompt)?.[2] ?? "";
    const wanted = /"([^"]*)"/.exec(fenced("criteria"))?.[1] ?? "";
    const pass = fenced("output").toLowerCase().includes(wanted.toLowerCase());
    return JSON.stringify({ reason: `looked for: ${wanted}`, score: pass ? 1 : 0.1, pass });
  },
};

/** The server. */
export class Models {
  /** Starts it on a free port. */
  static async start() {
    const models = new Models();
    models.asked = 0;
    /** The date in the name of the model that answers. */
    models.snapshot = "2026-11-01";
    models.released = new Promise((release) => (models.release = release));
    models.server = createServer((request, response) => models.#answer(request, response));
    models.server.listen(0, "127.0.0.1");
    await once(models.server, "listening");
    models.origin = `http://127.0.0.1:${models.server.address().port}`;
    return models;
  }

  /** The settings of a primary that asks it, as the provider `local`; with more lines of settings. */
  config(more = "") {
    const known = '["sum", "upper", "waits"]';
    return `${more}\n[providers.local]\nkind = "openai"\nbase_url = "${this.origin}/v1"\nmodels = ${known}\n`;
  }

  async #answer(request, response) {
    let body = "";
    for await (const part of request) body += part;
    const { model, messages, stream } = JSON.parse(body);
    this.asked += 1;
    if (model === "waits") await this.released;
    const system = messages.filter(({ role }) => role === "system").map(said).join("\n");
    const answer = (RULES[model] ?? ((last) => last))(said(messages.at(-1)), system);
    const named = { id: "1", model: `${model}-${this.snapshot}` };
    if (!stream) {
      const message = { role: "assistant", content: answer };
      const whole = { ...named, choices: [{ index: 0, message, finish_reason: "stop" }], usage: USAGE };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(whole));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const send = (event) => response.write(`data: ${JSON.stringify({ ...named, ...event })}\n\n`);
    for (const content of answer.match(/[^]{1,8}/g) ?? []) send({ choices: [{ index: 0, delta: { content } }] });
    send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
    send({ choices: [], usage: USAGE });
    response.end("data: [DONE]\n\n");
  }

  /** Ends it, and every answer that still waits. */
  async stop() {
    this.release();
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }
}
