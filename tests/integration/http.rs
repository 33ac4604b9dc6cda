//! The HTTP interface of running nodes, as applications, scripts and machines meet it.

mod access;
mod copies;
mod documents;
mod events;
mod metrics;
mod resolving;
