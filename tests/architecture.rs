//! The architecture as tests: layers, the two modules that write, one table of statuses, limits on file size.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The layer of each top-level module; it can use only what is strictly below. A crate is one module, or contains
/// several.
const LAYERS: &[(&str, u8)] = &[
    ("lib", 12),
    ("main", 11),
    ("cli", 11),
    ("server", 10),
    ("config", 9),
    ("logging", 9),
    ("http", 8),
    ("watch", 7),
    ("webhooks", 7),
    ("replication", 6),
    ("report", 6),
    ("registry", 6),
    ("ingest", 6),
    ("resolve", 5),
    ("signing", 5),
    ("store", 4),
    ("client", 4),
    ("telemetry", 4),
    ("files", 4),
    ("ui", 4),
    ("template", 3),
    ("governance", 3),
    ("experiment", 3),
    ("trust", 3),
    ("api", 2),
    ("model", 1),
    ("json", 0),
    ("crypto", 0),
    ("clock", 0),
    ("metrics", 0),
];

/// Modules on one layer that can use each other, and why.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    ("main", "cli", "main parses, runs, and maps to an exit code"),
    ("governance", "experiment", "whom a rule reaches is decided by the function that serves it"),
];

/// Longest file, in lines.
const LINES_MAX: usize = 800;

/// Longest line of the pages, in columns: the formatter does not enter `html!`.
const PAGE_COLUMNS_MAX: usize = 120;

/// Crates that are one module of the program, and under which name it uses them.
const SINGLE: &[(&str, &str)] = &[("store", "store"), ("client", "client"), ("telemetry", "telemetry"), ("ui", "web")];

/// A source file without its tests: its module, its path, and its lines of code with their numbers. The path begins in
/// `src/` of the program, or in the crate that is one module: `http/read.rs`, `store/read.rs`.
struct Source {
    module: String,
    path: String,
    lines: Vec<(usize, String)>,
    length: usize,
    whole: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let program = root.join("src");
    collect(&program, &program, None, &mut found);
    for folder in std::fs::read_dir(root.join("crates")).expect("the crates") {
        let folder = folder.expect("an entry").path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let module = SINGLE.iter().any(|(single, _)| *single == name).then_some(name.as_str());
        let sources = folder.join("src");
        collect(&sources, &sources, module, &mut found);
    }
    assert!(found.len() > 50, "the sources are there");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, single: Option<&str>, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, single, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(read(root, &path, single));
        }
    }
}

fn read(root: &Path, path: &Path, single: Option<&str>) -> Source {
    let whole = std::fs::read_to_string(path).expect("a text");
    let inside = path.strip_prefix(root).expect("inside");
    let relative = single.map_or_else(|| inside.to_owned(), |module| Path::new(module).join(inside));
    let first = relative.components().next().expect("a part").as_os_str().to_string_lossy().into_owned();
    let is_tests = relative.iter().any(|part| {
        let part = part.to_string_lossy();
        part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs")
    });
    // Everything after the first `#[cfg(test)] mod` is test code.
    let end = whole.find("#[cfg(test)]\nmod tests {").unwrap_or(whole.len());
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    let lines = whole[..end].lines().enumerate().map(|(number, line)| (number + 1, code(line)));
    Source {
        module: first.trim_end_matches(".rs").to_owned(),
        path: relative.to_string_lossy().into_owned(),
        lines: if is_tests { Vec::new() } else { lines.collect() },
        length: whole.lines().count(),
        whole,
    }
}

fn layer(module: &str) -> u8 {
    let known = LAYERS.iter().find(|(name, _)| *name == module);
    known.unwrap_or_else(|| panic!("`{module}` has no layer; give it one in tests/architecture.rs")).1
}

/// The top-level modules that a line of code names behind `crate::`.
fn used(line: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = BTreeSet::new();
    for prefix in ["crate::", "bookholder::"] {
        for (at, _) in line.match_indices(prefix) {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let behind = &line[at + prefix.len()..];
            match behind.strip_prefix('{') {
                Some(list) => used.extend(list.split(',').map(|item| word(item.trim()))),
                None => drop(used.insert(word(behind))),
            }
        }
    }
    let named = |module: String| match SINGLE.iter().find(|(_, name)| *name == module) {
        Some((single, _)) => (*single).to_owned(),
        None => module,
    };
    used.into_iter().map(named).filter(|module| LAYERS.iter().any(|(name, _)| name == module)).collect()
}

/// Lines outside of the allowed places with one of these words.
fn offences(words: &[&str], allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !allowed(&source.path)) {
        for (number, line) in &source.lines {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    found
}

#[allow(clippy::needless_pass_by_value, reason = "callers collect what they hand over")]
fn none(offences: Vec<String>, rule: &str) {
    assert!(offences.is_empty(), "{rule}\n{}", offences.join("\n"));
}

#[test]
fn module_uses_only_layers_below_its_own() {
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in &source.lines {
            for used in used(line).into_iter().filter(|used| *used != source.module) {
                let neighbours = NEIGHBOURS.iter().any(|(from, to, _)| *from == source.module && *to == used);
                if layer(&used) >= layer(&source.module) && !neighbours {
                    found.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    none(found, "a module imports from its own layer or from above:");
}

#[test]
fn every_module_has_a_layer() {
    for source in sources() {
        layer(&source.module);
    }
}

#[test]
fn external_crates_are_used_only_in_their_modules() {
    let inside = |folder: &'static str| move |path: &str| path.starts_with(folder);
    let stores = |path: &str| path.starts_with("store/") || path.starts_with("telemetry/store/");
    none(offences(&["redb::", "use redb"], stores), "only the stores know redb:");
    none(
        offences(&["bincode::"], |path| stores(path) && path.ends_with("codec.rs")),
        "only a store's codec names bincode:",
    );
    none(offences(&["axum::"], inside("http/")), "only http/ knows axum:");
}

#[test]
fn refusals_get_their_status_in_one_file() {
    let good = ["OK", "CREATED", "ACCEPTED", "NO_CONTENT", "NOT_MODIFIED", "FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT"];
    let mut found = Vec::new();
    // The other two answer what hyper refused or would never read.
    let tables = ["http/code.rs", "http/listen.rs", "http/timeouts.rs"];
    for source in
        sources().iter().filter(|source| source.path.starts_with("http/") && !tables.contains(&source.path.as_str()))
    {
        for (number, line) in &source.lines {
            let mut named = line.split("StatusCode::").skip(1);
            if named.any(|rest| {
                !good.contains(&rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap_or(""))
            }) {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none(found, "http/code.rs is the one table of refusals:");
}

#[test]
fn only_registry_and_replication_write_registry_data() {
    let doors = ["registry/", "replication/", "store/"];
    let others = sources().into_iter().filter(|source| !doors.iter().any(|door| source.path.starts_with(door)));
    let writes = |source: &Source| {
        let code: String = source.lines.iter().flat_map(|(_, line)| line.split_whitespace()).collect();
        ["store.write(", "store().write(", ".write_blocking("].iter().any(|call| code.contains(call))
    };
    none(others.filter(writes).map(|source| source.path).collect(), "only registry/ and replication/ write:");
}

/// What the types of a file are called in the OpenAPI document.
fn schema_names(source: &Source) -> Vec<String> {
    let word = |text: &str| text.trim_start().chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
    let code: String = source.lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    let derived = code.split("derive(").skip(1).filter_map(|rest| {
        let (derived, rest) = rest.split_once(")]")?;
        let (attributes, name) = rest
            .split_once("struct ")
            .into_iter()
            .chain(rest.split_once("enum "))
            .min_by_key(|(before, _)| before.len())?;
        let said = attributes.split_once("schema(as = ").map_or(name, |(_, said)| said);
        derived.contains("ToSchema").then(|| word(said))
    });
    let built = ["built_schema!(", "schema_of!("].into_iter().flat_map(|call| code.split(call).skip(1).map(word));
    derived.chain(built).collect()
}

#[test]
fn no_two_types_have_one_name_in_the_openapi_document() {
    let mut places = BTreeMap::<String, Vec<String>>::new();
    for source in sources() {
        for name in schema_names(&source) {
            places.entry(name).or_default().push(source.path.clone());
        }
    }
    assert!(places.len() > 100, "{} schemas", places.len());
    let twice = places.into_iter().filter(|(_, places)| places.len() > 1);
    none(
        twice.map(|(name, places)| format!("{name}: {}", places.join(", "))).collect(),
        "the document has one schema for a name, so `#[schema(as = ...)]` gives another:",
    );
}

#[test]
fn http_reads_only_through_a_scope() {
    let face = |path: &str| path.starts_with("http/");
    none(
        offences(&["ReadScope::node(", "ReadScope::of(", ".txn()"], |path| !face(path)),
        "a scope comes from the authenticated caller (`AuthContext::scope`), and `http/` asks through it:",
    );
    none(
        offences(&["ReadScope::open"], |path| !face(path) || path == "http/auth.rs" || path == "http/ui/visitor.rs"),
        "only what extracts a request decides that it reads openly:",
    );
    let store = ["store.read()", "store().read()", "store.view("];
    none(offences(&store, |path| !face(path)), "`http/` asks the catalogue and the registry, and no store:");
}

#[test]
fn no_file_is_longer_than_the_limit() {
    let long = sources().into_iter().filter(|source| source.length > LINES_MAX);
    none(
        long.map(|source| format!("{}: {} lines", source.path, source.length)).collect(),
        "there is a list hiding inside:",
    );
}

#[test]
fn lines_of_pages_have_at_most_120_columns() {
    let mut long = Vec::new();
    for source in sources().iter().filter(|source| source.module == "ui") {
        // A constant of many lines in one is data.
        let lines = source.lines.iter().filter(|(_, line)| !line.starts_with("const "));
        let lines = lines.map(|(number, line)| (number, line.chars().count()));
        let lines = lines.filter(|(_, columns)| *columns > PAGE_COLUMNS_MAX);
        long.extend(lines.map(|(number, columns)| format!("{}:{number}: {columns} columns", source.path)));
    }
    none(long, "break these lines:");
}

#[test]
fn no_todo_is_left_in_the_code() {
    let words = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "dbg".to_owned() + "!(", "todo".to_owned() + "!("];
    let mut found = Vec::new();
    for source in sources() {
        let lines = source.whole.lines().enumerate();
        let lines = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word.as_str())));
        found.extend(lines.map(|(number, line)| format!("{}:{}: {}", source.path, number + 1, line.trim())));
    }
    none(found, "say it in an issue:");
}

#[test]
fn a_module_opens_with_its_one_job() {
    let silent =
        sources().into_iter().filter(|source| !source.whole.starts_with("//!") && !source.whole.trim().is_empty());
    let is_tests = |source: &Source| source.lines.is_empty();
    none(
        silent.filter(|source| !is_tests(source)).map(|source| source.path).collect(),
        "every file opens with its job:",
    );
}

/// What only the targets in `fuzz/` are built from.
const FUZZ_ALONE: [&str; 3] = ["arbitrary", "bookholder-fuzz", "libfuzzer-sys"];

#[test]
fn fuzz_targets_are_built_with_the_dependencies_that_are_shipped() {
    let packages = |lockfile: &str| -> BTreeSet<String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(lockfile);
        let lockfile = std::fs::read_to_string(&path).expect("a lockfile");
        let packages = lockfile.split("[[package]]").skip(1);
        packages.filter_map(|package| Some(package.trim().split_once("\nsource")?.0.to_owned())).collect()
    };
    let shipped = packages("Cargo.lock");
    let others: Vec<String> = packages("fuzz/Cargo.lock")
        .into_iter()
        .filter(|package| !shipped.contains(package) && !FUZZ_ALONE.iter().any(|name| package.contains(name)))
        .collect();
    none(
        others,
        "fuzz/Cargo.lock has other versions; run `cp Cargo.lock fuzz/ && cargo update -w --manifest-path fuzz/Cargo.toml`",
    );
}
