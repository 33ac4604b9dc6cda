//! Reads suites and results that other tools wrote.
