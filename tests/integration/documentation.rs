//! README and the pages in `docs/`: every command runs as typed, links lead somewhere, and references match the code.

mod commands;
mod links;
mod page;
mod reference;
mod session;
