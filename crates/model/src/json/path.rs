//! Paths into a JSON value.

use std::fmt::{self, Write};

/// Most steps of a path that are shown.
const STEPS_MAX: usize = 24;
/// Longest key that is shown whole, in characters.
const KEY_CHARACTERS_MAX: usize = 60;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into an object.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

/// The path from a value to a part of it, such as `config.servers[2].port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// How a message shows it: the path in backticks, or `the value` for the whole value.
    pub fn place(&self) -> String {
        if self.0.is_empty() { "the value".to_owned() } else { format!("`{self}`") }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().take(STEPS_MAX).enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let plain =
                        !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'));
                    if plain && key.chars().nth(KEY_CHARACTERS_MAX).is_none() {
                        write!(f, "{}{key}", if at == 0 { "" } else { "." })?;
                    } else {
                        let short: String = key.chars().take(KEY_CHARACTERS_MAX).collect();
                        write!(f, "[{short:?}]")?;
                    }
                }
            }
        }
        if self.0.len() > STEPS_MAX { f.write_char('…') } else { Ok(()) }
    }
}
