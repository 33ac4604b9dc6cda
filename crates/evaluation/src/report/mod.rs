//! Writes a run for people and for other tools.
