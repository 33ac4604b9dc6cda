// Nodes that misbehave: closed connections, silence, answers of other servers, streams that break.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { after, test } from "node:test";

import { Bookholder, InvalidReference, PromptUnavailable } from "../dist/esm/index.js";

const servers = [];
const clients = [];
after(async () => {
    await Promise.all(clients.map((client) => client.close()));
    for (const server of servers) {
        server.closeAllConnections?.();
        server.close();
    }
});

async function listening(server, ...at) {
    servers.push(server);
    server.listen(...(at.length > 0 ? at : [0, "127.0.0.1"]));
    await once(server, "listening");
    return server.address().port;
}

function client(options) {
    const made = new Bookholder({ baked: false, warn: () => undefined, timeoutMs: 30_000, ...options });
    clients.push(made);
    return made;
}

const resolved = (version = 1, more = {}) => ({
    name: "a",
    version,
    content_id: `b3:${"0".repeat(64)}`,
    label: "production",
    content: { text: `v${version}` },
    stamp: `a@${version}+000000000000`,
    assignment: null,
    telemetry: { attributes: {}, baggage: "" },
    ...more,
});
const json = (response, value, status = 200) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));

test("a kept connection that the node closed is replaced without an error", async () => {
    let connections = 0;
    const server = createTcpServer((socket) => {
        connections += 1;
        let requests = 0;
        socket.on("error", () => undefined);
        socket.on("data", () => {
            requests += 1;
            // The second request of a connection finds it closed, as after an idle time or a restart.
            if (requests === 2) return socket.resetAndDestroy();
            const body = JSON.stringify(resolved());
            return socket.write(
                `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: keep-alive\r\n\r\n${body}`,
            );
        });
    });
    const bookholder = client({ url: `http://127.0.0.1:${await listening(server)}` });
    for (let call = 0; call < 5; call++) assert.equal((await bookholder.prompt("a")).source, "replica");
    assert.equal(connections, 5);
});

test("what is not an answer of a node is as none, and memory answers within the timeout", async () => {
    let answer = (_, response) => json(response, resolved());
    const server = createServer((request, response) => answer(request, response));
    const bookholder = client({ url: `http://127.0.0.1:${await listening(server)}` });
    assert.equal((await bookholder.prompt("a")).source, "replica");
    const cut = (_, response) => {
        response.writeHead(200, { "content-length": 1_000 });
        response.write('{"name":');
        setImmediate(() => response.destroy());
    };
    const drip = (_, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write(" "), 5);
        response.on("close", () => clearInterval(timer));
    };
    for (const [name, wrong] of Object.entries({
        "a page of another server": (_, response) =>
            response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
        "an empty answer": (_, response) => response.writeHead(200).end(),
        "other JSON": (_, response) => json(response, { name: "a" }),
        null: (_, response) => json(response, null),
        "a redirect": (_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
        "an overloaded node": (_, response) => json(response, { code: "busy", detail: "overloaded" }, 503),
        "too many requests": (_, response) => json(response, { code: "rate_limited", detail: "slower" }, 429),
        "a proxy without a node": (_, response) => response.writeHead(502).end("<html>"),
        "not found without a reason": (_, response) => response.writeHead(404).end("<html>"),
        "304 to a question without a tag": (_, response) => response.writeHead(304).end(),
        "an answer that is cut": cut,
        "a closed connection": (request) => request.socket.destroy(),
    })) {
        answer = wrong;
        const prompt = await bookholder.prompt("a");
        if (name !== "304 to a question without a tag")
            assert.deepEqual([name, prompt.source, prompt.text()], [name, "memory", "v1"]);
        await assert.rejects(bookholder.prompt("b"), PromptUnavailable, name);
    }
    for (const silent of [() => undefined, drip]) {
        answer = silent;
        const prompt = await bookholder.prompt("a", { timeoutMs: 50 });
        assert.equal(prompt.source, "memory");
        await assert.rejects(bookholder.prompt("b", { timeoutMs: 50 }), /no answer within 50 ms/);
        // The client's own times: short while something else can answer, and longer if nothing else can.
        const hasty = client({
            url: bookholder.address,
            timeoutMs: 20,
            patienceMs: 120,
            baked: { answers: [{ resolved: resolved() }] },
        });
        assert.equal((await hasty.prompt("a")).source, "baked");
        assert.equal((await hasty.prompt("b", { fallback: "x" })).source, "fallback");
        await assert.rejects(hasty.prompt("b"), /no answer within 120 ms/);
        await assert.rejects(hasty.prompts(["b"]), /no answer within 120 ms/);
    }
    answer = (_, response) => json(response, resolved(2));
    assert.deepEqual((await bookholder.prompt("a")).text(), "v2");
});

test("a status that says nothing about the prompt leaves the last answer, and what does not pass is told apart", async (t) => {
    t.mock.timers.enable({ apis: ["Date"] });
    let status = 200;
    const server = createServer((_, response) =>
        status === 200 ? json(response, resolved()) : json(response, { code: "some_code", detail: "why" }, status),
    );
    const url = `http://127.0.0.1:${await listening(server)}`;
    const told = [];
    const bookholder = client({ url, warn: (message, kind) => told.push([kind, message]) });
    const refused = [401, 403, 404, 405, 407, 410, 421, 431, 451];
    for (const wrong of [...refused, 408, 429, 500, 502, 503, 507]) {
        status = 200;
        assert.equal((await bookholder.prompt("a")).source, "replica");
        status = wrong;
        told.length = 0;
        for (let call = 0; call < 2; call++) {
            const prompt = await bookholder.prompt("a");
            assert.deepEqual([prompt.source, prompt.stale, prompt.text()], ["memory", true, "v1"]);
        }
        const kind = refused.includes(wrong) ? "refused" : "away";
        assert.deepEqual([wrong, told.map(([kind]) => kind)], [wrong, [kind]]);
        assert.match(told[0][1], new RegExp(`status ${wrong}: why`));
        // A refusal does not pass by itself, so it is told again.
        t.mock.timers.tick(299_000);
        await bookholder.prompt("a");
        assert.equal(told.length, 1);
        t.mock.timers.tick(1_000);
        await bookholder.prompt("a");
        assert.equal(told.length, kind === "refused" ? 2 : 1);
    }
    assert.equal((await bookholder.prompt("b", { fallback: "x" })).source, "fallback");
    for (const wrong of [400, 413, 414, 422]) {
        status = wrong;
        await assert.rejects(bookholder.prompt("a"), InvalidReference, String(wrong));
    }
});

test("URLs can have a path and an IPv6 address", async (t) => {
    const asked = [];
    const server = createServer((request, response) => {
        asked.push([request.url, request.headers.host, request.headers.authorization]);
        json(response, resolved());
    });
    let port;
    try {
        port = await listening(server, 0, "::1");
    } catch {
        return t.skip("no IPv6 here");
    }
    const bookholder = client({ url: `http://[::1]:${port}/books/`, token: "bh_x" });
    await bookholder.prompt("support/größe x@b3:0", { subject: "ä&b", attributes: { locale: "de-AT", "a=b": "c" } });
    assert.deepEqual(asked, [
        [
            "/books/v1/resolve/support/gr%C3%B6%C3%9Fe%20x@b3:0?subject=%C3%A4%26b&attr=locale%3Dde-AT&attr=a%3Db%3Dc",
            `[::1]:${port}`,
            "Bearer bh_x",
        ],
    ]);
});

test("events are read in any pieces, and resumed after the last one", async () => {
    const streams = [];
    const server = createServer((request, response) => {
        if (request.url !== "/v1/events") return json(response, resolved());
        response.writeHead(200, { "content-type": "text/event-stream" });
        streams.push({ response, lastId: request.headers["last-event-id"] });
        return server.emit("stream");
    });
    const port = await listening(server);
    const bookholder = client({ url: `http://127.0.0.1:${port}`, cache: "events" });
    const told = [];
    let wake = () => undefined;
    const toldOf = async (count) => {
        while (told.length < count) await new Promise((resolve) => (wake = resolve));
    };
    const opened = once(server, "stream");
    bookholder.on("changed", (names) => {
        told.push(names);
        wake();
    });
    await opened;
    const event = Buffer.from(
        'retry: 2000\nid: 1.1\n\n:\n\nid: 1.2\nevent: change\ndata: {"position":"1.2","names":["größe","a"]}\n\n',
    );
    for (const byte of event) streams[0].response.write(Buffer.from([byte]));
    await toldOf(1);
    assert.deepEqual(told, [["größe", "a"]]);

    while ((await bookholder.prompt("a")).source !== "memory") await new Promise((resolve) => setImmediate(resolve));
    // What broke is not trusted: the node is asked until the stream is open again.
    const again = once(server, "stream");
    streams[0].response.destroy();
    await again;
    assert.equal(streams[1].lastId, "1.2");
    assert.equal((await bookholder.prompt("a")).source, "replica");
    streams[1].response.write('id: 1.3\nevent: change\ndata: {"position":"1.3","names":[]}\n\n');
    await toldOf(2);
    assert.deepEqual(told[1], []);
});

test("an endless event ends the stream and nothing else", async () => {
    let streams = 0;
    const server = createServer((request, response) => {
        if (request.url !== "/v1/events") return json(response, resolved());
        streams += 1;
        response.writeHead(200, { "content-type": "text/event-stream" });
        const line = "x".repeat(64 * 1024);
        const more = () => {
            while (response.writable && response.write(line));
        };
        response.on("drain", more);
        more();
        return server.emit("stream");
    });
    const bookholder = client({ url: `http://127.0.0.1:${await listening(server)}`, cache: "events" });
    while (streams < 2) {
        assert.equal((await bookholder.prompt("a")).text(), "v1");
        await new Promise((resolve) => setImmediate(resolve));
    }
});

test("an answer that an event overtook is not kept for hot callers", async () => {
    let hold;
    let stream;
    const server = createServer((request, response) => {
        if (request.url === "/v1/events") {
            response.writeHead(200, { "content-type": "text/event-stream" });
            response.write("id: 1.1\n\n");
            stream = response;
            return undefined;
        }
        if (!hold) return json(response, resolved(1));
        return hold.push(() => json(response, resolved(1)));
    });
    const bookholder = client({ url: `http://127.0.0.1:${await listening(server)}`, cache: "events" });
    const changed = new Promise((resolve) => bookholder.on("changed", resolve));
    while ((await bookholder.prompt("b")).source !== "memory") await new Promise((resolve) => setImmediate(resolve));
    hold = [];
    const asked = bookholder.prompt("a");
    while (hold.length === 0) await new Promise((resolve) => setImmediate(resolve));
    stream.write('id: 1.2\nevent: change\ndata: {"position":"1.2","names":["a"]}\n\n');
    await changed;
    hold[0]();
    assert.equal((await asked).source, "replica");
    hold = undefined;
    assert.equal((await bookholder.prompt("a")).source, "replica");
    assert.equal((await bookholder.prompt("a")).source, "memory");
});

test("a newer answer is believed before the event about it arrives", async () => {
    let version = 1;
    const server = createServer((request, response) => {
        if (request.url === "/v1/events") {
            response.writeHead(200, { "content-type": "text/event-stream" });
            return response.write("id: 1.1\n\n");
        }
        if (request.method === "POST")
            return json(response, {
                position: "1.2",
                answers: [{ reference: "a@production", resolved: resolved(version) }],
            });
        return json(response, resolved(version));
    });
    const bookholder = client({ url: `http://127.0.0.1:${await listening(server)}`, cache: "events" });
    while ((await bookholder.prompt("a")).source !== "memory") await new Promise((resolve) => setImmediate(resolve));
    version = 2;
    assert.equal((await bookholder.prompt("a")).version, 1);
    assert.equal((await bookholder.prompts(["a@production"]))[0].version, 2);
    assert.equal((await bookholder.prompt("a")).version, 2);
});
