//! The files that a configuration names, read within limits, and the references in them.

use std::cell::Cell;
use std::io;

use serde_json::{Map, Value};

use super::super::{IMPORT_BYTES_MAX, ImportError};
use crate::yaml;

/// Most files of one import.
const FILES_MAX: usize = 20_000;
/// Most references within one another.
const REFERENCES_MAX: usize = 20;
/// Deepest nesting after references are replaced.
const LEVELS_MAX: usize = 200;
/// Most values after references are replaced.
const VALUES_MAX: usize = 2_000_000;

/// Reads files, as the caller does.
pub(in super::super) struct Files<'a> {
    read: &'a dyn Fn(&str) -> io::Result<String>,
    bytes: Cell<usize>,
    count: Cell<usize>,
}

impl<'a> Files<'a> {
    pub(in super::super) fn new(read: &'a dyn Fn(&str) -> io::Result<String>) -> Self {
        Self { read, bytes: Cell::new(0), count: Cell::new(0) }
    }

    /// The text of a file, with or without `file://`.
    pub(super) fn text(&self, path: &str, place: &str) -> Result<String, ImportError> {
        let path = without_scheme(path);
        let text = (self.read)(path).map_err(|cause| ImportError::Read {
            file: path.to_owned(),
            place: place.to_owned(),
            cause,
        })?;
        self.bytes.set(self.bytes.get().saturating_add(text.len()));
        self.count.set(self.count.get().saturating_add(1));
        if self.bytes.get() > IMPORT_BYTES_MAX {
            return Err(ImportError::TooLong {
                file: format!("{path} with the files before it"),
                max: IMPORT_BYTES_MAX,
            });
        }
        if self.count.get() > FILES_MAX {
            return Err(ImportError::invalid(place, format!("more than {FILES_MAX} files are named; split the suite")));
        }
        Ok(text)
    }

    /// The value of a YAML or JSON file.
    pub(super) fn value(&self, path: &str, place: &str) -> Result<Value, ImportError> {
        let text = self.text(path, place)?;
        yaml::read_any(&text).map_err(|reason| ImportError::invalid(without_scheme(path), reason))
    }
}

/// A path without `file://`.
pub(super) fn without_scheme(path: &str) -> &str {
    path.strip_prefix("file://").unwrap_or(path)
}

/// The ending of a path, in lower case.
pub(super) fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

/// Whether a path names several files, or code.
pub(super) fn is_plain(path: &str) -> bool {
    let code = ["js", "cjs", "mjs", "ts", "cts", "mts", "py", "rb", "go"];
    let path = without_scheme(path);
    !path.contains(['*', '?', '[', '{']) && !path.contains(':') && !code.contains(&extension(path).as_str())
}

/// Replaces `$ref` by what it names.
pub(super) struct References<'a> {
    pub files: &'a Files<'a>,
    values: Cell<usize>,
}

impl<'a> References<'a> {
    pub(super) fn new(files: &'a Files<'a>) -> Self {
        Self { files, values: Cell::new(0) }
    }

    /// A value of a document with its references replaced.
    pub(super) fn replace(&self, value: &Value, root: &Value, place: &str) -> Result<Value, ImportError> {
        self.walk(value, root, place, (0, 0))
    }

    fn walk(&self, value: &Value, root: &Value, place: &str, at: (usize, usize)) -> Result<Value, ImportError> {
        let (levels, references) = at;
        self.values.set(self.values.get().saturating_add(1));
        if levels > LEVELS_MAX || self.values.get() > VALUES_MAX {
            return Err(ImportError::invalid(place, "too many values once `$ref` is replaced; write the values"));
        }
        let below = (levels + 1, references);
        match value {
            Value::Array(items) => {
                items.iter().map(|item| self.walk(item, root, place, below)).collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    return self.follow(reference, fields, root, place, at);
                }
                let mut walked = Map::new();
                for (key, value) in fields {
                    walked.insert(key.clone(), self.walk(value, root, place, below)?);
                }
                Ok(Value::Object(walked))
            }
            other => Ok(other.clone()),
        }
    }

    /// The value that a reference names, with the keys that are beside the reference.
    fn follow(
        &self,
        reference: &str,
        fields: &Map<String, Value>,
        root: &Value,
        place: &str,
        (levels, references): (usize, usize),
    ) -> Result<Value, ImportError> {
        let invalid = |reason: &str| ImportError::invalid(place, format!("`$ref: {reference}` {reason}"));
        if references >= REFERENCES_MAX {
            return Err(invalid("leads to itself, or through too many others; write the value"));
        }
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let other;
        let root = if file.is_empty() {
            root
        } else if is_plain(file) {
            other = self.files.value(file, place)?;
            &other
        } else {
            return Err(invalid("is not a file that can be read; name a YAML or JSON file"));
        };
        let target = root.pointer(pointer).ok_or_else(|| invalid("names nothing; correct the path"))?;
        let below = (levels + 1, references + 1);
        let mut value = self.walk(target, root, place, below)?;
        if let Value::Object(named) = &mut value {
            for (key, beside) in fields.iter().filter(|(key, _)| *key != "$ref") {
                named.insert(key.clone(), self.walk(beside, root, place, below)?);
            }
        }
        Ok(value)
    }
}
