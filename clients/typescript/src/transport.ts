/**
 * One HTTP exchange with the node, over a Unix socket or TCP.
 *
 * Node, Deno and Bun use `node:http`, loaded at the first request: it has Unix sockets and keeps connections open.
 * Other runtimes use `fetch`, and so do workers of Cloudflare, which have a part of Node. Nothing here knows what is
 * asked.
 */

import { BookholderError } from "./errors.js";
import { nodeModule } from "./runtime.js";

/** An answer. */
export interface Reply {
    status: number;
    /** The value of a header, by its name in lower case. */
    header(name: string): string | undefined;
    body: string;
}

/** What is sent. */
export interface Exchange {
    method: "GET" | "POST";
    /** Path and query. */
    path: string;
    headers?: { readonly [name: string]: string };
    body?: string;
    /** The answer must be complete within this time. */
    timeoutMs: number;
}

/** A stream of server-sent events. */
export interface Stream {
    path: string;
    headers: { readonly [name: string]: string };
    /** Called for each piece of text; the first call says that the stream is open. */
    receive: (piece: string) => void;
    signal: AbortSignal;
    /** How long the stream may be silent. */
    silenceMs: number;
}

/** A way to the node. */
export interface Transport {
    exchange(exchange: Exchange): Promise<Reply>;
    /** Ends when the stream does; rejects if it cannot be opened, breaks or falls silent. */
    stream(stream: Stream): Promise<void>;
    close(): void;
}

/** Where the node is. */
export interface Address {
    /** The path of a Unix socket. */
    socket?: string | undefined;
    /** The URL, which can have a path. */
    url: string;
    token?: string | undefined;
}

/** Largest answer, in bytes: a batch has at most 16 MiB. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** Most connections at a time. */
const CONNECTIONS_MAX = 64;

/** The request failed before an answer was complete. */
export class ConnectionFailed extends BookholderError {
    override name = "ConnectionFailed";
}

/** The way to an address that this runtime has. */
export function transportTo(address: Address, fetching?: typeof fetch): Transport {
    if (fetching) return new FetchTransport(address, fetching);
    const http = isWorker() ? undefined : nodeModule("node:http");
    if (http === undefined) {
        if (address.socket === undefined) return new FetchTransport(address, (...request) => fetch(...request));
        throw new ConnectionFailed("this runtime has no Unix sockets; set `url`");
    }
    return new LazyTransport(Promise.resolve(http).then((http) => NodeTransport.to(address, http as NodeHttp)));
}

const isWorker = () => globalThis.navigator?.userAgent === "Cloudflare-Workers";

/** A transport that is being loaded. */
class LazyTransport implements Transport {
    private ready: Transport | undefined;

    constructor(private readonly loading: Promise<Transport>) {
        loading.then(
            (ready) => (this.ready = ready),
            () => undefined,
        );
    }

    exchange(exchange: Exchange): Promise<Reply> {
        return this.ready ? this.ready.exchange(exchange) : this.loading.then((ready) => ready.exchange(exchange));
    }

    stream(stream: Stream): Promise<void> {
        return this.loading.then((ready) => ready.stream(stream));
    }

    close(): void {
        void this.loading.then(
            (ready) => ready.close(),
            () => undefined,
        );
    }
}

// The parts of `node:http` that are used, so that the types of Node are not needed to compile or to use this package.
interface NodeHttp {
    Agent: new (options: object) => { destroy(): void };
    request(options: object, respond: (response: NodeResponse) => void): NodeRequest;
}
interface NodeRequest {
    reusedSocket?: boolean;
    on(event: "error", act: (error: Error & { code?: string }) => void): void;
    on(event: "socket", act: (socket: { unref?(): void; ref?(): void }) => void): void;
    end(body?: string): void;
    destroy(error?: Error): void;
}
interface NodeResponse {
    statusCode?: number;
    headers: { [name: string]: string | string[] | undefined };
    setEncoding(encoding: string): void;
    on(event: "data", act: (piece: string) => void): void;
    on(event: "end" | "close", act: () => void): void;
    on(event: "error", act: (error: Error) => void): void;
    destroy(): void;
}

/** Over `node:http`. */
class NodeTransport implements Transport {
    static async to(address: Address, http: NodeHttp): Promise<NodeTransport> {
        const isTls = address.socket === undefined && address.url.startsWith("https:");
        return new NodeTransport(address, isTls ? ((await nodeModule("node:https")) as NodeHttp) : http);
    }

    private readonly agent: { destroy(): void };
    private readonly place: object;
    private readonly base: string;
    private readonly headers: { [name: string]: string };

    private constructor(
        address: Address,
        private readonly http: NodeHttp,
    ) {
        const url = new URL(address.url);
        // The newest free connection first: the others may have been closed while they were idle.
        this.agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX, scheduling: "lifo" });
        const port = url.port || (url.protocol === "https:" ? 443 : 80);
        const host = url.hostname.replace(/^\[|\]$/g, "");
        this.place = address.socket === undefined ? { host, port } : { socketPath: address.socket };
        this.base = url.pathname.replace(/\/$/, "");
        this.headers = { host: address.socket === undefined ? url.host : "localhost", ...authorization(address) };
    }

    exchange(exchange: Exchange): Promise<Reply> {
        return new Promise((resolve, reject) => {
            const deadline = Date.now() + exchange.timeoutMs;
            this.attempt(exchange, deadline, resolve, (error, isRetried) => {
                // The node closed a connection that was kept; an answer was never begun.
                if (isRetried) this.attempt(exchange, deadline, resolve, reject);
                else reject(error);
            });
        });
    }

    private attempt(
        exchange: Exchange,
        deadline: number,
        resolve: (reply: Reply) => void,
        reject: (error: Error, isRetried: boolean) => void,
    ): void {
        const { method, path, body } = exchange;
        const headers: { [name: string]: string | number } = { ...this.headers, ...exchange.headers };
        if (body !== undefined) headers["content-length"] = new TextEncoder().encode(body).length;
        const options = { ...this.place, agent: this.agent, method, path: this.base + path, headers };
        let isSettled = false;
        const request = this.http.request(options, (response) => {
            let text = "";
            response.setEncoding("utf8");
            response.on("data", (piece) => {
                text += piece;
                if (text.length > ANSWER_BYTES_MAX) response.destroy();
            });
            response.on("error", fail);
            response.on("end", () => {
                clearTimeout(timer);
                isSettled = true;
                resolve({
                    status: response.statusCode ?? 0,
                    header: (name) => one(response.headers[name]),
                    body: text,
                });
            });
            response.on("close", () => fail(new Error("the connection was closed before the end of the answer")));
        });
        const fail = (error: Error & { code?: string }) => {
            clearTimeout(timer);
            if (isSettled) return;
            isSettled = true;
            const isRetried = request.reusedSocket === true && (error.code === "ECONNRESET" || error.code === "EPIPE");
            reject(new ConnectionFailed(error.message || error.code || "no connection"), isRetried);
        };
        const left = Math.max(deadline - Date.now(), 1);
        const timer = setTimeout(() => {
            request.destroy(new Error(`no answer within ${exchange.timeoutMs} ms`));
        }, left);
        request.on("error", fail);
        request.end(body);
    }

    stream(stream: Stream): Promise<void> {
        return new Promise((resolve, reject) => {
            const options = {
                ...this.place,
                // A connection of its own: it stays open for as long as the stream.
                agent: false,
                method: "GET",
                path: this.base + stream.path,
                headers: { ...this.headers, ...stream.headers },
            };
            const request = this.http.request(options, (response) => {
                if (response.statusCode !== 200) {
                    request.destroy(new Error(`the stream of events was refused with status ${response.statusCode}`));
                    return;
                }
                response.setEncoding("utf8");
                response.on("data", (piece) => {
                    silence.reset();
                    try {
                        stream.receive(piece);
                    } catch (error) {
                        request.destroy(error as Error);
                    }
                });
                response.on("error", end);
                response.on("close", () => end());
            });
            const silence = watchdog(stream.silenceMs, () =>
                request.destroy(new Error("the stream of events is silent")),
            );
            const abort = () => request.destroy();
            const end = (error?: Error) => {
                silence.stop();
                stream.signal.removeEventListener("abort", abort);
                if (error) reject(error);
                else resolve();
            };
            stream.signal.addEventListener("abort", abort);
            request.on("error", end);
            // Listening must not keep a program alive.
            request.on("socket", (socket) => socket.unref?.());
            request.end();
        });
    }

    close(): void {
        this.agent.destroy();
    }
}

const one = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value);

/** Over `fetch`. */
class FetchTransport implements Transport {
    private readonly base: string;
    private readonly headers: { [name: string]: string };

    constructor(
        address: Address,
        private readonly fetching: typeof fetch,
    ) {
        this.base = address.url.replace(/\/$/, "");
        this.headers = authorization(address);
    }

    async exchange(exchange: Exchange): Promise<Reply> {
        const { method, path, body, timeoutMs } = exchange;
        const signal = AbortSignal.timeout(timeoutMs);
        const headers = { ...this.headers, ...exchange.headers };
        try {
            const init = { method, headers, signal, redirect: "manual" as const };
            const response = await this.fetching(this.base + path, body === undefined ? init : { ...init, body });
            const text = await response.text();
            return { status: response.status, header: (name) => response.headers.get(name) ?? undefined, body: text };
        } catch (error) {
            if (signal.aborted) throw new ConnectionFailed(`no answer within ${timeoutMs} ms`);
            throw new ConnectionFailed(reason(error), { cause: error });
        }
    }

    async stream(stream: Stream): Promise<void> {
        const headers = { ...this.headers, ...stream.headers };
        const response = await this.fetching(this.base + stream.path, { headers, signal: stream.signal });
        if (!response.ok || !response.body) {
            throw new ConnectionFailed(`the stream of events was refused with status ${response.status}`);
        }
        const reader = response.body.getReader();
        const silence = watchdog(stream.silenceMs, () => void reader.cancel());
        const decoder = new TextDecoder();
        try {
            for (;;) {
                const { done, value } = await reader.read();
                if (done) return;
                silence.reset();
                stream.receive(decoder.decode(value, { stream: true }));
            }
        } finally {
            silence.stop();
        }
    }

    close(): void {}
}

/** The innermost reason of a failed `fetch`, which says only "fetch failed" itself. */
function reason(error: unknown): string {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cause instanceof Error ? cause.message : String(cause);
}

function authorization(address: Address): { [name: string]: string } {
    return address.token === undefined ? {} : { authorization: `Bearer ${address.token}` };
}

/** Acts once nothing was heard for a time. */
function watchdog(ms: number, act: () => void): { reset(): void; stop(): void } {
    let timer = unref(setTimeout(act, ms));
    return {
        reset: () => {
            clearTimeout(timer);
            timer = unref(setTimeout(act, ms));
        },
        stop: () => clearTimeout(timer),
    };
}

/** A timer that does not keep the program alive, where the runtime has such. */
export function unref<T>(timer: T): T {
    (timer as { unref?: () => void }).unref?.();
    return timer;
}
