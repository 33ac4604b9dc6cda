/** Listens to `GET /v1/events`: which prompts changed. */

import { unref } from "./transport.js";
import type { Transport } from "./transport.js";

/** Who is told. */
export interface Listener {
    /** The stream is open: from now on every change is told. */
    opened(): void;
    /** These prompts changed; any may have if there are no names. */
    changed(names: readonly string[]): void;
    /** The stream broke: changes may be missed until it is open again. */
    lost(): void;
}

/** The node sends something every 15 seconds. */
const SILENCE_MS = 20_000;
/** First and longest time between attempts to open the stream. */
const RETRY_MS = 500;
const RETRY_MAX_MS = 10_000;
/** Longest line of an event, in characters: 1,000 names of 200 bytes. */
const LINE_CHARACTERS_MAX = 1024 * 1024;

/** A stream of events that opens itself again. */
export class Events {
    private readonly stopping = new AbortController();
    private lastId: string | undefined;
    private retryMs = RETRY_MS;
    private isOpen = false;

    constructor(
        private readonly transport: Transport,
        private readonly listener: Listener,
    ) {
        void this.listen();
    }

    stop(): void {
        this.stopping.abort();
    }

    private async listen(): Promise<void> {
        while (!this.stopping.signal.aborted) {
            const lines = new Lines((event) => this.take(event));
            try {
                await this.transport.stream({
                    path: "/v1/events",
                    headers: this.lastId === undefined ? {} : { "last-event-id": this.lastId },
                    receive: (piece) => {
                        if (!this.isOpen) {
                            this.isOpen = true;
                            this.retryMs = RETRY_MS;
                            this.listener.opened();
                        }
                        lines.add(piece);
                    },
                    signal: this.stopping.signal,
                    silenceMs: SILENCE_MS,
                });
            } catch {
                // Refused or broken: what it was for goes on without it, and it is tried again.
            }
            if (this.isOpen) {
                this.isOpen = false;
                this.listener.lost();
            }
            if (this.stopping.signal.aborted) return;
            await this.pause();
        }
    }

    private pause(): Promise<void> {
        const ms = this.retryMs * (0.5 + Math.random() / 2);
        this.retryMs = Math.min(2 * this.retryMs, RETRY_MAX_MS);
        return new Promise((resolve) => {
            const { signal } = this.stopping;
            const end = () => {
                clearTimeout(timer);
                signal.removeEventListener("abort", end);
                resolve();
            };
            const timer = unref(setTimeout(end, ms));
            signal.addEventListener("abort", end);
        });
    }

    private take({ id, type, data }: ServerSentEvent): void {
        if (id !== undefined) this.lastId = id;
        if (type !== "change" || data === "") return;
        let names: unknown;
        try {
            names = (JSON.parse(data) as { names?: unknown }).names;
        } catch {
            names = [];
        }
        this.listener.changed(Array.isArray(names) ? (names as string[]) : []);
    }
}

interface ServerSentEvent {
    id: string | undefined;
    type: string;
    data: string;
}

/** Cuts a stream into events. */
class Lines {
    private rest = "";
    private event: ServerSentEvent = { id: undefined, type: "", data: "" };

    constructor(private readonly take: (event: ServerSentEvent) => void) {}

    add(piece: string): void {
        const lines = (this.rest + piece).split(/\r\n|\n/);
        this.rest = lines.pop() ?? "";
        if (this.rest.length > LINE_CHARACTERS_MAX) throw new Error("an event is too long");
        for (const line of lines) this.line(line);
    }

    private line(line: string): void {
        if (line === "") {
            this.take(this.event);
            this.event = { id: undefined, type: "", data: "" };
            return;
        }
        const colon = line.indexOf(":");
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "id") this.event.id = value;
        else if (field === "event") this.event.type = value;
        else if (field === "data") this.event.data += value;
    }
}
