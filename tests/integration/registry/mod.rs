//! The governed write path: what each command does, what it refuses, and what a refusal says.

mod access;
mod dating;
mod deploying;
mod governing;
mod hardened;
mod including;
mod publishing;
mod refusing;
mod removing;
mod unauthorised;
mod working;
