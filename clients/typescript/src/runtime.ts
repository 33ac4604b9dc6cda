/** What the runtime has: modules of Node, environment variables, the end of the process. */

interface Process {
    getBuiltinModule?: (name: string) => unknown;
    env?: { [name: string]: string | undefined };
    versions?: { node?: string };
    on?: (event: "beforeExit", act: () => void) => void;
    off?: (event: "beforeExit", act: () => void) => void;
}

const runtime = () => (globalThis as { process?: Process }).process;

/**
 * A module of Node, or a promise of it; `undefined` where there is none. Bundlers for browsers and edge runtimes do not
 * see it.
 */
export function nodeModule(name: string): unknown {
    const process = runtime();
    if (process?.getBuiltinModule) return process.getBuiltinModule(name);
    // Node before 20.16.
    if (process?.versions?.node) return import(/* webpackIgnore: true */ /* @vite-ignore */ name);
    return undefined;
}

/** An environment variable; an empty one counts as absent. */
export function environment(name: string): string | undefined {
    try {
        return runtime()?.env?.[name] || undefined;
    } catch {
        // Deno asks for a permission.
        return undefined;
    }
}

const atExit = new Set<() => void>();

/** Calls `act` whenever the program is about to end because nothing is left to do; returns how to stop that. */
export function beforeExit(act: () => void): () => void {
    const process = runtime();
    if (!process?.on) return () => undefined;
    if (atExit.size === 0) process.on("beforeExit", runAll);
    atExit.add(act);
    return () => {
        atExit.delete(act);
        if (atExit.size === 0) process.off?.("beforeExit", runAll);
    };
}

function runAll(): void {
    for (const act of atExit) act();
}
