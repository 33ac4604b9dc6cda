//! The architecture as tests: layers, the two modules that write, one table of statuses, limits on file size.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    ("evaluate", 7),
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
    ("evaluation", 4),
    ("files", 4),
    ("ui", 4),
    ("template", 3),
    ("governance", 3),
    ("experiment", 3),
    ("trust", 3),
    ("api", 2),
    ("model", 1),
    ("json", 0),
    ("yaml", 0),
    ("crypto", 0),
    ("clock", 0),
    ("database", 0),
    ("metrics", 0),
];

/// Modules on one layer that can use each other, and why.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    ("main", "cli", "main parses, runs, and maps to an exit code"),
    ("yaml", "json", "YAML is read as JSON values"),
    ("evaluation", "store", "it has a store of its own, and does not depend on the crate"),
    ("governance", "experiment", "whom a rule reaches is decided by the function that serves it"),
];

/// Longest file, in lines.
const LINES_MAX: usize = 700;

/// Longest line of the pages, in columns: the formatter does not enter `html!`.
const PAGE_COLUMNS_MAX: usize = 120;

/// Crates that are one module of the program, and under which name it uses them.
const SINGLE: &[(&str, &str)] = &[
    ("database", "database"),
    ("store", "store"),
    ("client", "client"),
    ("telemetry", "telemetry"),
    ("evaluation", "evaluation"),
    ("ui", "web"),
];

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

/// Circles that are right as they are, each with its reason: files that name each other in both directions.
const CIRCLES: &[(&[&str], &str)] = &[];

/// The files of one crate by their module path, such as `registry::deploy`; the root of the crate is empty.
fn modules(root: &Path) -> BTreeMap<Vec<String>, Source> {
    let mut sources = Vec::new();
    collect(root, root, None, &mut sources);
    let path_of = |source: &Source| {
        let mut parts: Vec<String> = source.path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            parts.pop();
        }
        parts
    };
    sources.into_iter().map(|source| (path_of(&source), source)).collect()
}

/// The single paths of a `use` tree, such as `a::{b, c::{self, d}}`.
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, list)) = tree.strip_suffix('}').and_then(|tree| tree.split_once('{')) else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let (mut items, mut depth, mut item) = (Vec::new(), 0_usize, String::new());
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(std::mem::take(&mut item));
                continue;
            }
            _ => {}
        }
        item.push(character);
    }
    items.push(item);
    let items = items.iter().filter(|item| !item.trim().is_empty());
    items.flat_map(|item| paths(item)).map(|path| format!("{before}{path}")).collect()
}

/// Every path that a file names: those of its `use` lines, and those in its code that begin with `crate` or `super`.
fn named_paths(source: &Source) -> Vec<String> {
    let code: String = source.lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    let mut found = Vec::new();
    let mut rest = code.as_str();
    while let Some((before, behind)) = rest.split_once("use ") {
        let line = before.rsplit('\n').next().unwrap_or_default().trim();
        let starts = line.is_empty() || line == "pub" || line.starts_with("pub(");
        let Some((tree, after)) = behind.split_once(';').filter(|_| starts) else {
            rest = behind;
            continue;
        };
        found.extend(paths(tree));
        rest = after;
    }
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            let path = code.get(at..).unwrap_or_default();
            found.push(path.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect());
        }
    }
    found
}

/// Which other file of the crate a path leads to. What a file uses of its own ancestors does not count.
fn target(file: &[String], path: &str, modules: &BTreeMap<Vec<String>, Source>) -> Option<Vec<String>> {
    let mut steps: Vec<&str> = path.split("::").map(str::trim).collect();
    let mut at = match steps.first() {
        Some(&"crate") => Vec::new(),
        Some(&"super" | &"self") => file.to_vec(),
        Some(child) => {
            let child = [file, &[(*child).to_owned()]].concat();
            return if modules.contains_key(&child) { target(file, &format!("self::{path}"), modules) } else { None };
        }
        None => return None,
    };
    while matches!(steps.first(), Some(&"crate" | &"self" | &"super")) {
        if steps.remove(0) == "super" {
            at.pop();
        }
    }
    for step in steps {
        at.push(step.to_owned());
        if !modules.contains_key(&at) {
            at.pop();
            break;
        }
    }
    (modules.contains_key(&at) && !file.starts_with(&at)).then_some(at)
}

/// The shortest way from a file back to itself, where there is one.
fn circle(start: &[String], uses: &BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Option<Vec<Vec<String>>> {
    let mut came_from: BTreeMap<&[String], &[String]> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in uses.get(file)? {
            if next.as_slice() == start {
                let mut way = vec![start.to_vec()];
                let mut at = file;
                while at != start {
                    way.insert(1, at.to_vec());
                    at = came_from.get(at)?;
                }
                return Some(way);
            }
            if !came_from.contains_key(next.as_slice()) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

#[test]
fn files_of_a_crate_do_not_use_each_other_in_circles() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut roots = vec![("bookholder".to_owned(), program.join("src"))];
    for folder in std::fs::read_dir(program.join("crates")).expect("the crates") {
        let folder = folder.expect("an entry").path();
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        roots.push((name, folder.join("src")));
    }
    roots.sort();
    let mut found = BTreeSet::new();
    for (name, root) in roots {
        let modules = modules(&root);
        let uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = modules
            .iter()
            .map(|(file, source)| {
                let named = named_paths(source);
                (file.clone(), named.iter().filter_map(|path| target(file, path, &modules)).collect())
            })
            .collect();
        for file in uses.keys() {
            let Some(way) = circle(file, &uses) else { continue };
            // Each circle is told once, from its first file.
            if way.iter().min() != Some(file) {
                continue;
            }
            let way: Vec<String> = way.iter().map(|file| file.join("::")).collect();
            if !CIRCLES.iter().any(|(known, _)| *known == way) {
                found.insert(format!("{name}: {} -> {}", way.join(" -> "), way.first().expect("a file")));
            }
        }
    }
    none(
        found.into_iter().collect(),
        "files use each other in a circle; move what two of them share to a file below both:",
    );
}

#[test]
fn every_module_has_a_layer() {
    for source in sources() {
        layer(&source.module);
    }
}

#[test]
fn map_in_the_documentation_has_every_module_on_its_layer() {
    let map = include_str!("../ARCHITECTURE.md").lines().filter_map(|line| {
        let (layer, modules) = line.strip_prefix("| ")?.split_once(" | ")?;
        let layer: u8 = layer.split(' ').next()?.parse().ok()?;
        // A crate of several modules is named beside them.
        let modules = modules.split(" | ").next()?.split('`').skip(1).step_by(2);
        let modules = modules.filter(|name| !["crates/rules", "crates/trust", "crates/model"].contains(name));
        Some(modules.map(move |module| (module.trim_start_matches("crates/").trim_end_matches('/').to_owned(), layer)))
    });
    let drawn: BTreeSet<(String, u8)> = map.flatten().collect();
    let real = LAYERS.iter().filter(|(module, _)| *module != "lib");
    let real: BTreeSet<(String, u8)> = real.map(|(module, layer)| ((*module).to_owned(), *layer)).collect();
    assert_eq!(drawn, real, "the table in ARCHITECTURE.md on the left, LAYERS on the right");
}

#[test]
fn source_files_that_the_documentation_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut missing, sources) = (Vec::new(), sources());
    let pages = std::fs::read_dir(root.join("docs/architecture")).expect("the pages").map(|page| page.expect("a page"));
    let pages = pages.map(|page| format!("docs/architecture/{}", page.file_name().to_string_lossy()));
    let documents =
        ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/reference/stale-replicas.md", "docs/reference/metrics.md"]
            .map(str::to_owned);
    for document in documents.into_iter().chain(pages) {
        let text = std::fs::read_to_string(root.join(&document)).expect("a document");
        let named = text.split('`').skip(1).step_by(2).filter(|name| {
            !name.contains('{') && Path::new(name).extension().is_some_and(|extension| extension == "rs")
        });
        // A name without a folder belongs to the one named before it.
        let known =
            |name: &str| !name.contains('/') && sources.iter().any(|one| one.path.ends_with(&format!("/{name}")));
        let exists = |name: &str| root.join(name).exists() || root.join("src").join(name).exists() || known(name);
        missing.extend(named.filter(|name| !exists(name)).map(|name| format!("{document}: {name}")));
    }
    none(missing, "a path begins in src/, or in a folder of the repository:");
}

#[test]
fn external_crates_are_used_only_in_their_modules() {
    let stores = |path: &str| {
        ["store/", "telemetry/store/", "evaluation/store/", "database/"].iter().any(|folder| path.starts_with(folder))
    };
    none(offences(&["redb::", "use redb"], stores), "only the stores, and what opens them, know redb:");
    none(
        offences(&["bincode::"], |path| stores(path) && path.ends_with("codec.rs")),
        "only a store's codec names bincode:",
    );
    let serves = |path: &str| path.starts_with("http/") || path.starts_with("evaluation/provider/testing/");
    none(offences(&["axum::"], serves), "only http/ knows axum:");
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

#[test]
fn audit_entries_are_made_from_a_clearance_or_by_the_node() {
    let makers = ["registry/command.rs", "registry/epochs.rs"];
    none(
        offences(&["AuditEntry::of("], |path| makers.contains(&path) || !path.starts_with("registry/")),
        "`Ctx::audit` says why a command was allowed, and `epochs` what the node or its operator did:",
    );
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
fn module_opens_with_its_job() {
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
