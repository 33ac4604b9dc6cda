/**
 * Marks spans of OpenTelemetry with the version of a prompt, if OpenTelemetry is there.
 *
 * Every copy of `@opentelemetry/api` of version 1 registers itself under one global symbol, so it is found without
 * being imported: no dependency, and nothing for bundlers to resolve.
 */

type Attributes = { [key: string]: string };

interface Span {
    setAttributes(attributes: { [key: string]: string }): unknown;
    spanContext(): { traceId: string; spanId: string };
}
interface Context {
    getValue(key: symbol): unknown;
    setValue(key: symbol, value: unknown): Context;
}
interface Api {
    context?: { active(): Context; with<T>(context: Context, act: () => T): T };
}

const API = Symbol.for("opentelemetry.js.api.1");
const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");
const BAGGAGE = Symbol.for("OpenTelemetry Baggage Key");
const NO_TRACE = /^0*$/;

const api = () => (globalThis as { [API]?: Api })[API];

/** The current span. */
function span(): Span | undefined {
    return api()?.context?.active().getValue(SPAN) as Span | undefined;
}

/** Puts the attributes on the current span. */
export function markSpan(attributes: () => Attributes): void {
    try {
        span()?.setAttributes(attributes());
    } catch {
        // A broken tracer is not the application's problem.
    }
}

/** The trace and span of the current span. */
export function currentSpan(): { traceId: string; spanId: string } | undefined {
    try {
        const at = span()?.spanContext();
        return at && !NO_TRACE.test(at.traceId) ? { traceId: at.traceId, spanId: at.spanId } : undefined;
    } catch {
        return undefined;
    }
}

/** Runs `act` with the attributes as baggage, which is sent to other services and copied to spans by processors. */
export function withBaggage<T>(attributes: Attributes, act: () => T): T {
    const context = api()?.context;
    if (!context) return act();
    const active = context.active();
    let baggage = (active.getValue(BAGGAGE) as Baggage | undefined) ?? new Baggage(new Map());
    for (const [key, value] of Object.entries(attributes)) baggage = baggage.setEntry(key, { value });
    return context.with(active.setValue(BAGGAGE, baggage), act);
}

/** Baggage, in the shape of `@opentelemetry/api`. */
class Baggage {
    constructor(private readonly entries: ReadonlyMap<string, object>) {}

    getEntry(key: string): object | undefined {
        const entry = this.entries.get(key);
        return entry && { ...entry };
    }

    getAllEntries(): [string, object][] {
        return [...this.entries];
    }

    setEntry(key: string, entry: object): Baggage {
        return new Baggage(new Map(this.entries).set(key, entry));
    }

    removeEntry(key: string): Baggage {
        return this.removeEntries(key);
    }

    removeEntries(...keys: string[]): Baggage {
        return new Baggage(new Map([...this.entries].filter(([key]) => !keys.includes(key))));
    }

    clear(): Baggage {
        return new Baggage(new Map());
    }
}
