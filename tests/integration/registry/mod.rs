//! The governed write path: what each command does, what it refuses, and what a refusal says.

mod access;
mod dating;
mod deploying;
mod governing;
mod growing;
mod hardened;
mod including;
mod making;
mod publishing;
mod refusing;
mod removing;
mod stopping;
mod unauthorised;
mod using;
mod working;
