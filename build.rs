//! Compresses the OpenAPI document of `fixtures/`, which the program serves.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

const DOCUMENT: &str = "fixtures/openapi.json";

fn main() -> io::Result<()> {
    writeln!(io::stdout(), "cargo:rerun-if-changed={DOCUMENT}")?;
    let out = std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let mut file = GzEncoder::new(File::create(Path::new(&out).join("openapi.json.gz"))?, Compression::best());
    file.write_all(&fs::read(DOCUMENT)?)?;
    file.finish()?;
    Ok(())
}
