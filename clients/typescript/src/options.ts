/** What an application sets: where the node is, whom an answer is for, and what to do without one. */

import type { Caller, Fallback } from "./answers.js";
import type { BakedAnswers } from "./baked.js";
import { environment, nodeModule } from "./runtime.js";
import type { Address } from "./transport.js";

/** The node is away, busy or not ready; or it refuses this application; or a report was dropped. */
export type WarnKind = "away" | "refused" | "dropped";

/** Settings of a client. All are optional: without any it finds the replica beside it. */
export interface BookholderOptions {
    /**
     * The Unix socket of the node. Without it and `url`: `BOOKHOLDER_SOCKET`, `BOOKHOLDER_URL`,
     * `/run/bookholder/replica.sock`, `/run/bookholder-replica/bookholder.sock` or `http://127.0.0.1:7071`, whichever is
     * there first.
     */
    socket?: string | undefined;
    /** The URL of the node, such as `https://prompts.example.com`. */
    url?: string | undefined;
    /** An access token, for a node on another machine. Otherwise `BOOKHOLDER_TOKEN`. */
    token?: string | undefined;
    /**
     * What answers when the replica and memory do not: the folder that `bookholder pull --inline` wrote, its lock file,
     * or an answer of `POST /v1/resolve` as a value. Otherwise `BOOKHOLDER_BAKED`, or `./prompts/bookholder.lock`.
     */
    baked?: string | BakedAnswers | false | undefined;
    /** How long to wait for the replica while something else can answer, in milliseconds; 250 by default. */
    timeoutMs?: number | undefined;
    /**
     * How long to wait if nothing else can answer, for many prompts at once, and for the node to render jinja, in
     * milliseconds; 5,000 by default.
     */
    patienceMs?: number | undefined;
    /**
     * `"events"`: answer from memory while the node's stream of changes is open, for very hot callers. By default the
     * replica is asked each time.
     */
    cache?: "events" | undefined;
    /** Whether unknown variables and empty placeholders are errors, too. */
    strict?: boolean | undefined;
    /** Whether `prompt` sets the attributes of the version on the current span of OpenTelemetry; true by default. */
    markSpans?: boolean | undefined;
    /**
     * Called when something other than the node answers: once for each outage (`"away"`), and every five minutes while
     * the node refuses this application (`"refused"`), for example because its access token expired. Once, when the
     * first report is dropped (`"dropped"`). By default `console.warn`, and `console.error` for a refusal.
     */
    warn?: ((message: string, kind: WarnKind) => void) | undefined;
    /** A `fetch` to use for every request, instead of `node:http`. */
    fetch?: typeof fetch | undefined;
}

/** Who an answer is for, and what to do without one. */
export interface PromptOptions extends Caller {
    /** What to use if nothing else answers: a text, messages, or a content. */
    fallback?: Fallback | undefined;
    /** How long to wait for this answer, in milliseconds. */
    timeoutMs?: number | undefined;
}

/** Prompts by label and pattern. */
export interface PromptFilter extends Omit<PromptOptions, "fallback"> {
    /** `production` by default. */
    label?: string | undefined;
    /** `*` stands for any text between slashes, `**` for any text; everything by default. */
    pattern?: string | undefined;
}

const URL_DEFAULT = "http://127.0.0.1:7071";
const SOCKETS = ["/run/bookholder/replica.sock", "/run/bookholder-replica/bookholder.sock"];

/** Where the node is: as the options say, the environment, or beside the application. */
export function addressOf(options: BookholderOptions): Address {
    const token = options.token ?? environment("BOOKHOLDER_TOKEN");
    let { socket, url } = options;
    if (socket === undefined && url === undefined) {
        socket = environment("BOOKHOLDER_SOCKET");
        if (socket === undefined) url = environment("BOOKHOLDER_URL");
        if (socket === undefined && url === undefined && !options.fetch) socket = usualSocket();
    }
    if (url?.startsWith("unix:")) return { socket: url.slice("unix:".length), url: "http://localhost", token };
    return { socket, url: (socket === undefined ? url : undefined) ?? URL_DEFAULT, token };
}

/** The first usual socket that exists. */
function usualSocket(): string | undefined {
    const files = nodeModule("node:fs") as { existsSync?(path: string): boolean } | undefined;
    return SOCKETS.find((socket) => files?.existsSync?.(socket));
}
