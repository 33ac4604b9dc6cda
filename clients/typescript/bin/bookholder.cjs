#!/usr/bin/env node
// Runs the program of this machine, which npm installed as an optional dependency.
"use strict";

const { spawn } = require("node:child_process");

const target = `${process.platform}-${process.arch}`;
let program;
try {
    program = require.resolve(`@bookholder/${target}/bin/bookholder`);
} catch {
    console.error(
        `error: there is no bookholder program for ${target}\n` +
            `hint: install the optional dependency @bookholder/${target}, or build the program from its sources`,
    );
    process.exit(2);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
// A terminal sends these to both; a supervisor only to this process.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
    console.error(`error: cannot run ${program}: ${error.message}`);
    process.exit(1);
});
child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
});
