/** A node in memory, for tests of applications: it answers as a replica does, without a network. */

import { describe } from "./baked.js";
import { contentFrom } from "./prompt-file.js";
import { matches, partsOf } from "./reference.js";
import { ConnectionFailed } from "./transport.js";
import type { Exchange, Reply, Stream, Transport } from "./transport.js";
import type { Content, Message, Placeholder, Resolved } from "./types.js";

/** Prompts by reference: a text, messages, or a whole content. A name alone is what `production` serves. */
export interface FakePrompts {
    readonly [reference: string]: string | readonly (Message | Placeholder)[] | Content;
}

/** A node in memory. */
export class FakeNode implements Transport {
    /** Whether it does not answer. */
    isDown = false;

    private readonly served = new Map<string, Resolved>();
    private readonly listeners = new Set<Stream>();
    private position = 1;

    constructor(prompts: FakePrompts) {
        for (const [reference, prompt] of Object.entries(prompts)) this.set(reference, prompt);
    }

    /** Serves a new version. */
    set(reference: string, prompt: FakePrompts[string]): void {
        const { name, selector } = partsOf(reference);
        const key = `${name}@${selector}`;
        const version = /^\d+$/.test(selector) ? Number(selector) : (this.served.get(key)?.version ?? 0) + 1;
        const label = /^\d+$/.test(selector) ? null : selector;
        const digest = version.toString(16).padStart(64, "0");
        this.served.set(key, describe(name, version, `b3:${digest}`, label, contentFrom(prompt as Content)));
        this.position += 1;
        const data = JSON.stringify({ position: `1.${this.position}`, names: [name] });
        for (const listener of this.listeners)
            listener.receive(`id: 1.${this.position}\nevent: change\ndata: ${data}\n\n`);
    }

    exchange({ path, body }: Exchange): Promise<Reply> {
        if (this.isDown) return Promise.reject(new ConnectionFailed("the fake node is down"));
        const [, operation = "", reference = ""] = /^\/v1\/([a-z]+)(?:\/(.*?))?(?:\?.*)?$/.exec(path) ?? [];
        if (operation === "resolve" && reference) return this.resolve(decodeURIComponent(reference));
        if (operation === "resolve" && body !== undefined) return this.batch(body);
        if (operation === "resolve") return this.matching(new URLSearchParams(path.split("?")[1]));
        return this.reply(422, { code: "render_failed", detail: "jinja is rendered by the node; a fake has none" });
    }

    stream(stream: Stream): Promise<void> {
        this.listeners.add(stream);
        stream.receive(`id: 1.${this.position}\n\n`);
        return new Promise((resolve) => {
            stream.signal.addEventListener("abort", () => {
                this.listeners.delete(stream);
                resolve();
            });
        });
    }

    close(): void {}

    /** What a reference means; a label that was not given serves what the name alone does. */
    private find(reference: string): Resolved | undefined {
        const { name, selector } = partsOf(reference);
        const exact = this.served.get(`${name}@${selector}`);
        const production = exact ?? this.served.get(`${name}@production`);
        if (exact || !production) return exact;
        const { version, content_id, content } = production;
        if (/^\d+$/.test(selector)) return describe(name, Number(selector), content_id, null, content);
        return describe(name, version, content_id, selector.startsWith("b3:") ? null : selector, content);
    }

    private problem(reference: string) {
        return { status: 404, code: "prompt_not_found", detail: `there is no prompt \`${partsOf(reference).name}\`` };
    }

    private resolve(reference: string): Promise<Reply> {
        const resolved = this.find(reference);
        return resolved ? this.reply(200, resolved) : this.reply(404, this.problem(reference));
    }

    private matching(query: URLSearchParams): Promise<Reply> {
        const [label, pattern] = [query.get("label"), query.get("pattern") ?? "**"];
        const found = [...this.served.values()].filter(
            (known) => known.label === label && matches(pattern, known.name),
        );
        const answers = found.map((resolved) => ({ reference: `${resolved.name}@${label}`, resolved }));
        return this.reply(200, { position: `1.${this.position}`, answers });
    }

    private batch(body: string): Promise<Reply> {
        const { references } = JSON.parse(body) as { references: string[] };
        const answers = references.map((reference) => {
            const resolved = this.find(reference);
            return resolved ? { reference, resolved } : { reference, problem: this.problem(reference) };
        });
        return this.reply(200, { position: `1.${this.position}`, answers });
    }

    private reply(status: number, body: object): Promise<Reply> {
        const headers: { [name: string]: string } = {
            "bookholder-position": `1.${this.position}`,
            "bookholder-age": "0",
            "bookholder-stale": "false",
        };
        return Promise.resolve({ status, header: (name) => headers[name], body: JSON.stringify(body) });
    }
}
