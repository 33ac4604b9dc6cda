//! The program from inside, whole and in parts: one binary, so that it links once.

mod registry;
mod support;
