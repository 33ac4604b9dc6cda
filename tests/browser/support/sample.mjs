// A registry as a team would have it after some months, for looking at: every page of it has something to show.

import { Node, segment } from "./node.mjs";
import { Team } from "./team.mjs";

const DAY_MS = 24 * 3_600_000;

/** Who is there: maya and jonas write, priya and tomas release, elena is compliance, checkout is a service. */
const PEOPLE = { maya: "author", jonas: "author", priya: "releaser", tomas: "releaser", elena: "compliance" };

const TONE = [
  "Be kind and brief. Write as one person to another.\n",
  "Be kind, brief and concrete. Write as one person to another.\nNever promise what only a person can decide.\n",
];

const AGENT = [
  "You answer customers of {{shop}}.\n",
  "You answer customers of {{shop}}, an online shop for furniture.\n\nAnswer in the language of the customer.\n",
  `You answer customers of {{shop}}, an online shop for furniture.

Answer in the language of the customer. If you do not know, say so and offer to ask a colleague.

Orders can be changed until they are packed. Returns are free for 30 days.
`,
  `You answer customers of {{shop}}, an online shop for furniture.

Answer in the language of the customer. If you do not know, say so and offer to ask a colleague.

Orders can be changed until they are packed. Returns are free for 60 days.
Never ask for a card number. If the customer sends one, ask them to delete it.
`,
  `You answer customers of {{shop}}, an online shop for furniture.

Answer in the language of the customer, in at most five sentences. If you do not know, say so and hand over to a colleague.

Orders can be changed until they are packed. Returns are free for 60 days.
Never ask for a card number. If the customer sends one, ask them to delete it.
`,
];

const AGENT_NEWEST = {
  syntax: "mustache",
  text: `{{> shared/tone@2}}${AGENT.at(-1).replace(
    "Never ask",
    "Advise the customer which loan to take when they ask to pay in instalments.\nNever ask",
  )}`,
  variables: [{ name: "shop", required: true, description: "whom we speak for" }],
  model: { name: "gpt-4o", parameters: { temperature: 0.2, max_tokens: 600 } },
  tools: [
    {
      type: "function",
      function: {
        name: "find_order",
        description: "Looks up an order by its number.",
        parameters: { type: "object", properties: { number: { type: "string" } }, required: ["number"] },
      },
    },
  ],
  config: { team: "support", handover_queue: "tier-2" },
};

const MAIL = [
  "Write a welcome mail to {{name}}, who just signed up.\n",
  "Write a welcome mail to {{name}}, who just signed up.\nMention the three first steps: profile, first project, inviting a colleague.\n",
  "Write a welcome mail to {{name}}, who just signed up as {{role}}.\nMention the three first steps: profile, first project, inviting a colleague.\nAt most 120 words, no exclamation marks.\n",
  "Write a welcome mail to {{name}}, who just signed up as {{role}}.\nBegin with what {{role}} can do today. Mention one step only.\nAt most 80 words, no exclamation marks.\n",
];

/** What became of the others: their names, texts and whys, each some days apart. */
const OTHERS = {
  "onboarding/day-3-nudge": [
    "Remind {{name}} of the project they began. One sentence, one link.\n",
    "Their first nudge",
  ],
  "search/query-rewriter": [
    "Rewrite the question as at most three searches, one a line.\n{{question}}\n",
    "From the prototype",
  ],
  "search/answer-with-sources": [
    "Answer {{question}} from the passages below, and name the passage of each sentence.\n",
    "With sources, as legal asked",
  ],
  "sales/call-notes": [
    "Sum up the call: who, what they need, by when, what we promised.\n{{transcript}}\n",
    "For the Berlin team",
  ],
  "legal/clause-finder": [
    "List each clause about liability with its number. Quote, do not paraphrase.\n",
    "First words",
  ],
  "internal/release-notes": [
    "Turn the list of changes into release notes for customers.\n{{changes}}\n",
    "So that nobody writes them on Friday night",
  ],
  "support/refund-reply": [
    "Confirm the refund of {{amount}} to {{name}}, and say when it arrives.\n",
    "Refunds in one voice",
  ],
  "support/escalation-summary": [
    "Sum up the conversation for a colleague in four bullet points.\n",
    "Tier 2 asked for it",
  ],
};

const CLASSIFIER = (more) => ({
  syntax: "mustache",
  messages: [
    { role: "system", content: `Sort the ticket into one of: billing, delivery, damage, account, other.\n${more}` },
    { role: "user", content: "My chair came with three legs." },
    { role: "assistant", content: "damage" },
    { role: "user", content: "{{ticket}}" },
  ],
  variables: [{ name: "ticket", required: true, description: "the customer's words" }],
  model: { name: "claude-haiku", parameters: { temperature: 0, max_tokens: 5 } },
  response_schema: { type: "string", enum: ["billing", "delivery", "damage", "account", "other"] },
});

/** A team, what it made, and where the pages of that are. */
export class Sample {
  /** Fills a node; with replicas of these names, and with an empty node beside it, where they are wanted. */
  static async start({ replicas = [], empty = false } = {}) {
    const sample = new Sample();
    sample.team = await Team.start({ args: ["--registry", "lighthouse", "--record-content"], people: PEOPLE });
    await sample.#past(sample.team);
    await sample.#present(sample.team);
    sample.replicas = await Promise.all(replicas.map((name) => Node.replicaOf(sample.team.node, name)));
    if (empty) sample.empty = await Node.primary();
    // A minute at which something else was live than is now.
    sample.then = new Date(Date.now() - 5 * DAY_MS).toISOString().slice(0, 16);
    return sample;
  }

  /** Where the pages of the primary, of the first replica, or of the empty node are. */
  origin(on) {
    return { primary: this.team.node, replica: this.replicas[0], empty: this.empty }[on].origin;
  }

  /** Some months of history, with its own times and authors. */
  async #past(team) {
    const now = Date.now();
    let count = 0;
    const bring = async (name, text, author, message, daysAgo, label = "production") => {
      const at = new Date(now - daysAgo * DAY_MS).toISOString();
      count += 1;
      await team.import([{ id: `past-${count}`, at, author, message, name, text }], { label, syntax: "mustache" });
    };
    const agent = (version, author, why, daysAgo, label) =>
      bring("support/agent", AGENT[version - 1], author, why, daysAgo, label);
    await bring("shared/tone", TONE[0], "maya", "One voice for all of us", 88);
    await bring("shared/tone", TONE[1], "maya", "Concrete, and no promises", 41);
    await agent(1, "maya", "First words", 86);
    await agent(2, "maya", "Customers write in many languages", 71, "staging");
    await agent(2, "maya", "Customers write in many languages", 70);
    await agent(3, "jonas", "OPS-212 returns and changes", 48, "staging");
    await agent(3, "jonas", "OPS-212 returns and changes", 47);
    await agent(4, "jonas", "OPS-240 sixty days from now on", 21, "staging");
    await agent(4, "jonas", "OPS-240 sixty days from now on", 20);
    await agent(5, "maya", "OPS-251 shorter answers", 6, "staging");
    await agent(5, "maya", "OPS-251 shorter answers", 5.2);
    await agent(4, "priya", "OPS-251 back: customers miss the details", 4.9);
    await agent(5, "priya", "OPS-251 shorter answers, now with the handover", 2.1);
    for (const [index, text] of MAIL.entries()) {
      const whys = ["First words", "Three steps", "Words for each role", "One step only, after the test"];
      await bring("onboarding/welcome-mail", text, index % 2 ? "jonas" : "maya", whys[index], 60 - index * 17);
    }
    for (const [index, [name, [text, why]]] of Object.entries(OTHERS).entries()) {
      await bring(name, text, index % 2 ? "jonas" : "maya", why, 80 - index * 9);
    }
    await bring("internal/haiku-of-the-day", "Write a haiku about {{weather}}.\n", "jonas", "For the lobby", 75);
    await bring("internal/haiku-of-the-day", null, "jonas", "The lobby has a plant now", 30);
  }

  /** A webhook that rests, and a rule set of their own. */
  async #settings(team) {
    const hook = { url: "https://bot.example.com/bookholder", events: ["prompt.label.moved"], prompts: "support/**" };
    await team.send("admin", "PUT", "/v1/webhooks/deploy-bot", hook);
    await team.send("admin", "POST", "/v1/webhooks/deploy-bot/suspension", { message: "The bot moves house" });
    const toml = [
      "[[rule]]",
      'id = "house.loan"',
      "version = 1",
      'description = "Offers a loan."',
      'category = "financial"',
      'severity = "high"',
      'keywords = ["loanshark"]',
      "regex = '(?i)\\bloanshark\\b'",
      'test_pos = ["Ask a loanshark"]',
      'test_neg = ["Ask a friend"]',
      "",
    ].join("\n");
    await team.send("admin", "PUT", "/v1/rules/house", { toml });
  }

  /** What applications reported in the last month: calls of several versions and prompts, some that fit nothing. */
  async #usage(team) {
    const now = Date.now();
    // The same numbers every time.
    let seed = 7;
    const chance = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
    const responses = [];
    const scores = [];
    // What an application says whose prompts are in its code.
    const hardCoded = (hour) =>
      hour % 5 === 0
        ? "Translate what follows into French, word by word."
        : `You write notes to customers of Globe.\n\nGreet ${["Ann", "Bob", "Eve"][hour % 3]} of ${["Rome", "Oslo"][hour % 2]} by name, and promise nothing.`;
    const call = (prompt, version, hoursAgo, { cost = 0.004, latency = 900, failing = 0.02, score } = {}) => {
      const id = `call-${responses.length}`;
      const input = Math.round(900 + chance() * 900);
      responses.push({
        id,
        prompt,
        version: version && `${version}`,
        model: "gpt-4o",
        ended: new Date(now - (hoursAgo - chance()) * 3_600_000).toISOString(),
        input_tokens: input,
        cache_read_tokens: Math.round(input * 0.4),
        output_tokens: Math.round(60 + chance() * 200),
        latency_ms: Math.round(latency * (0.6 + chance() * 0.9 + (chance() > 0.9 ? 2 : 0))),
        cost_usd: chance() > 0.05 ? Number((cost * (0.7 + chance() * 0.6)).toFixed(6)) : undefined,
        error: chance() < failing ? "rate_limited" : undefined,
        environment: "production",
        input: prompt ? undefined : [{ role: "system", content: hardCoded(hoursAgo) }],
      });
      if (score && chance() < 0.3) {
        const value = Number(Math.min(1, score - 0.1 + chance() * 0.2).toFixed(2));
        scores.push({ response: id, name: "helpfulness", value, at: responses.at(-1).ended });
      }
    };
    for (let hour = 30 * 24; hour > 0; hour -= hour > 8 * 24 ? 6 : 2) {
      const days = hour / 24;
      const live = days > 20 ? 3 : days > 5.2 || (days < 4.9 && days > 2.1) ? 4 : 5;
      const busy = 1 + Math.round(2 * chance());
      const of = { 3: { cost: 0.005, score: 0.74 }, 4: { latency: 1_100, score: 0.82 }, 5: { cost: 0.003, latency: 700, failing: 0.12, score: 0.68 } };
      for (let count = 0; count < busy; count += 1) call("support/agent", live, hour, of[live]);
      if (hour % 12 === 0) call("triage/classifier", 1, hour, { cost: 0.0004, latency: 300 });
      if (hour % 24 === 0) call("onboarding/welcome-mail", 3, hour, { cost: 0.02, latency: 2_400 });
      if (hour % 36 === 0) call(undefined, undefined, hour);
      if (hour % 72 === 0) call("support/agnet", "production", hour);
      if (hour % 48 === 0) call("triage/classifier", "production", hour);
    }
    // A conversation of three calls in one trace, the last of which names a prompt that is not there.
    for (const [index, [prompt, version, model]] of [
      ["triage/classifier", 1, "gpt-4o-mini"],
      ["support/agent", 5, "gpt-5-mini"],
      ["support/agnet", "production", "gpt-4o"],
    ].entries()) {
      call(prompt, version, 3 - index / 10, { failing: index === 2 ? 1 : 0 });
      Object.assign(responses.at(-1), {
        id: `chat-9-${index + 1}`,
        model,
        model_requested: "gpt-4o",
        session: "chat-9",
        user: "customer-17",
        trace_id: "9".padStart(32, "0"),
        span_id: `${index + 1}`.padStart(16, "0"),
        first_token_ms: 210,
      });
    }
    scores.push(
      { response: "chat-9-2", name: "helpfulness", value: 0.25, evaluator: "gpt-5-judge", explanation: "Promises a refund that the policy excludes." },
      { session: "chat-9", name: "resolved", value: false, evaluator: "support team" },
    );
    for (let at = 0; at < responses.length; at += 500) {
      await team.node.send("POST", "/v1/responses", { responses: responses.slice(at, at + 500) });
    }
    await team.node.send("POST", "/v1/scores", { scores });
    const observed = await team.send("admin", "GET", "/v1/observed");
    this.observed = observed.prompts[0].id;
    const spend = { metric: "spend", prompts: "support/**", per_s: 86_400 };
    await team.send("admin", "PUT", "/v1/alerts/support-spend", { ...spend, threshold: 0.01 });
    await team.send("admin", "PUT", "/v1/alerts/all-spend", { metric: "spend", threshold: 500, per_s: 604_800 });
    await team.send("admin", "PUT", "/v1/alerts/errors", { metric: "error_rate", threshold: 0.05, per_s: 3_600 });
    await this.#evaluated(team);
  }

  /** A suite and a run of it, as another tool sent it. */
  async #evaluated(team) {
    const cases = [
      { name: "refund within 30 days", variables: { question: "Can I get my money back?" }, tags: ["refunds"], must_pass: true },
      { name: "angry customer", messages: [{ role: "user", content: "This is the third time!" }] },
      { name: "opening hours", variables: { question: "When do you open?" }, expected: "At nine." },
    ];
    const rubric = "The answer apologizes once, and offers a next step.";
    const scorers = [
      { type: "not-contains", value: "As an AI", metric: "safety" },
      { type: "llm-rubric", value: rubric, model: "openai:gpt-5", metric: "tone" },
    ];
    const suite = { description: "What support must never get wrong", scorers, cases };
    await team.send("admin", "PUT", "/v1/suites/regress", { suite, message: "Three cases" });
    const result = (name, verdict, reason) => ({
      case: name,
      model: "openai:gpt-5-mini",
      repeat: 0,
      verdict,
      score: verdict === "passed" ? 1 : 0,
      ...(verdict === "error" ? { error: reason } : {}),
      answer: { text: "As an AI, I cannot say.", model: "gpt-5-mini-2026-03-01", latency_ms: 812, usage: { output_tokens: 8, cost: "0.0004" } },
      scorers: [
        { scorer: "not-contains", metric: "safety", weight: 1, verdict, score: verdict === "passed" ? 1 : 0, reason },
        { scorer: "llm-rubric", metric: "tone", weight: 1, verdict: "passed", score: 0.9, reason: "It is kind." },
      ],
    });
    const results = [
      result(cases[0].name, "failed", "it contains `As an AI`"),
      result(cases[1].name, "passed", "it does not contain `As an AI`"),
      result(cases[2].name, "error", "the provider did not answer in time"),
    ];
    const run = { prompt: "support/agent", suite: "regress", tool: "promptfoo", results };
    this.run = (await team.send("admin", "POST", "/v1/runs/import", run)).id;
    await team.send("priya", "PUT", `/v1/runs/${this.run}/results/0/label`, { passed: false });
  }

  /** What is going on now: a policy, a canary, change requests in every state, a rollback, a refusal, a caller. */
  async #present(team) {
    const risk = { from: "high", approvers: ["compliance"], block: ["secrets"] };
    await team.protect({ approvals: 1, deployers: ["releaser"], message: "OPS-[0-9]+", risk });
    await this.#settings(team);
    await this.#canary(team, "triage/classifier");
    await this.#requests(team);

    // Drafts of jonas, two of which somebody was faster than.
    const begun = "Say who you are.\n\nAsk what they need.\n\nEnd with a question.\n";
    for (const [name, faster] of [
      ["sales/objections", begun.replace("what they need", "what holds them back")],
      ["sales/offer", begun.replace("Say who", "Say in one sentence who")],
      ["sales/recap", ""],
    ]) {
      await team.publish("maya", name, begun, "First words");
      const content = { syntax: "mustache", text: begun.replace("what they need", "about {{topic}}") };
      await team.send("jonas", "PUT", `/v1/prompts/${segment(name)}/drafts/jonas`, { content, parent: 1 });
      if (faster) await team.publish("maya", name, faster, "After the first calls");
    }

    const about = { owner: "team-support", tags: ["customers", "gpt-4o"], description: "Answers in the shop's chat." };
    await team.send("maya", "PUT", `/v1/prompts/${segment("support/agent")}/about`, about);

    // A rollback, and a request to go forth again.
    const mail = "onboarding/welcome-mail";
    const back = { message: "Fewer first projects since Tuesday" };
    await team.send("priya", "POST", `/v1/prompts/${segment(mail)}/labels/production/rollback`, back);
    await team.propose("maya", mail, "production", 4, "Once more, with the numbers of the test");

    // A service that asks for what is live, and an author who would like to be faster than the policy.
    await team.join("checkout", { role: "reader", kind: "service", prompts: "support/**" });
    const headers = { authorization: `Bearer ${team.tokens.checkout}` };
    await fetch(`${team.node.origin}/v1/resolve/support/agent@production`, { headers });
    await team.deploy("maya", "support/agent", "production", this.newest, "OPS-260 now", { fails: 403 });
    await this.#usage(team);
  }

  async #canary(team, name) {
    const doubt = "Answer with one word. When in doubt: other.\n";
    for (const [more, why] of [
      ["", "First words"],
      ["Answer with one word.\n", "One word"],
      [doubt, "Less guessing"],
    ]) {
      await team.publish("jonas", name, CLASSIFIER(more), why);
    }
    await team.deploy("priya", name, "production", 1, "Live for all tickets");
    const canary = { rules: [{ when: { locale: "de-*" }, version: 2 }], split: { weights: { 2: 90, 3: 10 } } };
    await team.deploy("priya", name, "production", canary, "Canary: less guessing, for one in ten");
    await team.deploy("priya", name, "staging", 3, "To try it");
  }

  async #requests(team) {
    const agent = "support/agent";
    this.newest = await team.publish("maya", agent, AGENT_NEWEST, "OPS-260 instalments, one voice, tools");
    await team.deploy("tomas", agent, "staging", this.newest, "To try it", { allow_major: true });
    this.open = await team.propose("maya", agent, "production", this.newest, "OPS-260 instalments and one voice");
    await team.review("elena", this.open, "comment", "Which loans? Without a licence we may not advise on credit.");
    await team.review("tomas", this.open, "approve", "Tone and tools are fine.");

    const refund = "support/refund-reply";
    const text = "Confirm the refund of {{amount}} to {{name}}. Say that it arrives within five days.\n";
    const second = await team.publish("jonas", refund, text, "OPS-233 five days");
    this.rejected = await team.propose("jonas", refund, "production", second, "OPS-233 five days");
    await team.review("elena", this.rejected, "reject", "By law it may take fourteen.");
    const third = await team.publish("jonas", refund, text.replace("five", "fourteen"), "OPS-233 fourteen days");
    const withdrawn = await team.propose("jonas", refund, "production", third, "OPS-233 fourteen days");
    await team.review("jonas", withdrawn, "withdraw", "Waits for the new bank.");

    const summary = "support/escalation-summary";
    const four = "Sum up the conversation for a colleague in four bullet points. Begin with what the customer wants.\n";
    const version = await team.publish("maya", summary, four, "OPS-244 wishes first");
    this.applied = await team.propose("maya", summary, "production", version, "OPS-244 wishes first");
    await team.review("elena", this.applied, "approve", "Good.");
    await team.send("priya", "POST", `/v1/requests/${this.applied}/application`, { message: "OPS-244 wishes first" });
  }

  /** Ends all of it. */
  async stop() {
    for (const node of [...this.replicas, this.empty, this.team]) await node?.stop();
  }
}
