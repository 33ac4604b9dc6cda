//! Python's methods of strings, lists and mappings, which authors of jinja templates expect.
//!
//! Methods never change a value. Every method weighs its object, its arguments and its largest possible result before
//! it runs, as the filters of `guards` do; results are lists, never lazy.

use std::sync::Arc;

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::budget::{Budget, VALUE_BYTES, length, refusal};
use super::error::type_name;
use crate::model::content::VariableType;

/// All methods, for checking texts before they run.
pub(super) const METHODS: [&str; 45] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "find",
    "format",
    "get",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "istitle",
    "isupper",
    "items",
    "join",
    "keys",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "values",
    "zfill",
    // Methods of `loop`, provided by the engine.
    "cycle",
];
/// Methods of Python that change their object.
const CHANGING: [&str; 12] = [
    "add",
    "append",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "update",
];
/// Widest field of `format`, in digits of its width.
const FORMAT_DIGITS_MAX: usize = 3;
/// Largest width for `center`, `ljust`, `rjust` and `zfill`.
const WIDTH_MAX: usize = 100_000;

/// The error of calling a method with this name; absent if it exists.
pub(super) fn unknown(name: &str) -> Option<String> {
    if METHODS.contains(&name) || name == "changed" {
        return None;
    }
    let name = super::error::excerpt(name);
    Some(if CHANGING.contains(&name.as_str()) {
        format!(
            "there is no method `{name}`, as lists and mappings cannot be modified; create a new one, as in `{{% set \
                list = list + [item] %}}` (inside loops, in a namespace)"
        )
    } else {
        format!(
            "there is no method `{name}`; the methods of Python's strings, lists and mappings that return a \
            value are available"
        )
    })
}

/// The error of calling an existing method on a value of this type; absent if the type has it.
pub(super) fn missing(name: &str, kind: VariableType) -> Option<String> {
    let of_map = matches!(name, "get" | "items" | "keys" | "values");
    let is_there = match kind {
        VariableType::Any => true,
        VariableType::Object => of_map,
        VariableType::Array => matches!(name, "count" | "index"),
        VariableType::String => !of_map && !matches!(name, "cycle" | "changed"),
        VariableType::Number | VariableType::Boolean => false,
    };
    // The operator, recorded as a call if a variable precedes it.
    if name == "%" {
        let message = "use `x|format(y)` for a pattern in a variable; `%` needs a quoted pattern, or numbers";
        let is_number = matches!(kind, VariableType::Any | VariableType::Number | VariableType::Boolean);
        return (!is_number).then(|| message.to_owned());
    }
    let kind = type_name(kind);
    (!is_there).then(|| format!("a value of type {kind} has no method `{name}`; declare another type, or use a filter"))
}

/// Adds the methods to an environment.
pub(super) fn add(environment: &mut Environment<'static>, budget: &Arc<Budget>) {
    let budget = Arc::clone(budget);
    environment.set_unknown_method_callback(move |_, value, method, arguments| {
        let called = Arguments::of(method, arguments);
        let result = match value.kind() {
            ValueKind::String => text_method(&budget, value.as_str().unwrap_or_default(), method, &called)?,
            ValueKind::Map => map_method(&budget, value, method, &called)?,
            ValueKind::Seq | ValueKind::Iterable => list_method(&budget, value, method, &called)?,
            _ => None,
        };
        let Some(result) = result else {
            if METHODS.contains(&method) {
                return Err(refusal(format!("this {} has no method `{method}`", value.kind())));
            }
            return Err(ErrorKind::UnknownMethod.into());
        };
        budget.charge_value(&result)?;
        Ok(result)
    });
}

/// The arguments of a method.
struct Arguments<'a> {
    method: &'a str,
    all: &'a [Value],
    positional: &'a [Value],
    named: Option<&'a Value>,
}

impl<'a> Arguments<'a> {
    fn of(method: &'a str, all: &'a [Value]) -> Self {
        let (positional, named) = match all.split_last() {
            Some((last, before)) if last.is_kwargs() => (before, Some(last)),
            _ => (all, None),
        };
        Self { method, all, positional, named }
    }

    /// Rejects other arguments than these, of which this many are required.
    fn take<const N: usize>(&self, names: [&str; N], needed: usize) -> Result<[Option<Value>; N], Error> {
        let method = self.method;
        if self.positional.len() > N {
            return Err(Error::new(ErrorKind::TooManyArguments, format!("`{method}` takes at most {N} arguments")));
        }
        if let Some(named) = self.named {
            for key in named.try_iter()? {
                if !key.as_str().is_some_and(|key| names.contains(&key)) {
                    return Err(Error::new(ErrorKind::TooManyArguments, format!("`{method}` has no argument `{key}`")));
                }
            }
        }
        let mut index = 0_usize;
        let mut missing = false;
        let taken = names.map(|name| {
            let named = self.named.and_then(|named| named.get_attr(name).ok()).filter(|value| !value.is_undefined());
            let value = self.positional.get(index).cloned().or(named);
            missing |= index < needed && value.is_none();
            index = index.saturating_add(1);
            value
        });
        if missing {
            return Err(Error::new(ErrorKind::MissingArgument, format!("`{method}` needs {needed} arguments")));
        }
        Ok(taken)
    }

    fn none(&self) -> Result<(), Error> {
        self.take([], 0).map(|_| ())
    }

    fn text(&self, value: Option<&Value>) -> Result<Option<String>, Error> {
        match value {
            None => Ok(None),
            Some(value) if value.is_none() => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(refusal(format!("`{}` needs a string here, not a {}", self.method, value.kind()))),
            },
        }
    }

    fn number(&self, value: Option<&Value>) -> Result<Option<i64>, Error> {
        match value {
            None => Ok(None),
            Some(value) => i64::try_from(value.clone())
                .map(Some)
                .map_err(|_| refusal(format!("`{}` needs a whole number here, not a {}", self.method, value.kind()))),
        }
    }

    /// The single required string.
    fn one(&self, name: &str) -> Result<String, Error> {
        let [value] = self.take([name], 1)?;
        self.text(value.as_ref())?.ok_or_else(|| refusal(format!("`{}` needs a string", self.method)))
    }
}

/// A method of a mapping.
fn map_method(budget: &Budget, map: &Value, method: &str, called: &Arguments<'_>) -> Result<Option<Value>, Error> {
    if method == "get" {
        let [key, default] = called.take(["key", "default"], 1)?;
        let key = key.unwrap_or_default();
        budget.charge_outer(map)?;
        budget.read(&key)?;
        let found = map.get_item(&key).ok().filter(|found| !found.is_undefined());
        return Ok(Some(found.or(default).unwrap_or_else(|| Value::from(()))));
    }
    if !matches!(method, "items" | "keys" | "values") {
        return Ok(None);
    }
    called.none()?;
    budget.read(map)?;
    let mut list = Vec::new();
    for key in map.try_iter()? {
        let value = if method == "keys" { Value::default() } else { map.get_item(&key)? };
        list.push(match method {
            "keys" => key,
            "values" => value,
            _ => Value::from(Tuple::from([key, value])),
        });
    }
    Ok(Some(Value::from(list)))
}

/// A method of a list.
fn list_method(budget: &Budget, list: &Value, method: &str, called: &Arguments<'_>) -> Result<Option<Value>, Error> {
    if !matches!(method, "count" | "index") {
        return Ok(None);
    }
    let [wanted] = called.take(["value"], 1)?;
    let wanted = wanted.unwrap_or_default();
    budget.weigh_inside(list)?;
    budget.weigh_inside(&wanted)?;
    let mut places = list.try_iter()?.enumerate().filter(|(_, item)| *item == wanted).map(|(index, _)| index);
    if method == "count" {
        return Ok(Some(Value::from(places.count())));
    }
    let place = places.next().ok_or_else(|| refusal("`index` does not find this value in the list".to_owned()))?;
    Ok(Some(Value::from(place)))
}

/// A method of a text.
#[allow(clippy::too_many_lines, reason = "one arm for each method")]
fn text_method(budget: &Budget, text: &str, method: &str, called: &Arguments<'_>) -> Result<Option<Value>, Error> {
    if !METHODS.contains(&method) {
        return Ok(None);
    }
    let mut given = 0_u64;
    for argument in called.all {
        given = given.saturating_add(budget.weigh_inside(argument)?);
    }
    budget.spend(length(text).saturating_add(VALUE_BYTES))?;
    budget.spend(growth(text, method, called, given)?)?;
    let all =
        |fits: fn(char) -> bool| called.none().map(|()| Some(Value::from(!text.is_empty() && text.chars().all(fits))));
    let said = |text: String| Ok(Some(Value::from(text)));
    match method {
        "upper" => called.none().and_then(|()| said(text.to_uppercase())),
        "lower" => called.none().and_then(|()| said(text.to_lowercase())),
        "casefold" => called.none().and_then(|()| said(text.to_lowercase().replace('ß', "ss"))),
        "capitalize" => {
            called.none()?;
            let mut letters = text.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            said(first + &letters.as_str().to_lowercase())
        }
        "title" => called.none().and_then(|()| said(title(text))),
        "swapcase" => {
            called.none()?;
            let swapped = text.chars().map(|c| {
                if c.is_uppercase() { c.to_lowercase().collect::<String>() } else { c.to_uppercase().collect() }
            });
            said(swapped.collect())
        }
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isdigit" | "isdecimal" | "isnumeric" => all(char::is_numeric),
        "isspace" => all(char::is_whitespace),
        "isascii" => called.none().map(|()| Some(Value::from(text.is_ascii()))),
        "isupper" | "islower" => {
            called.none()?;
            let (mut upper, mut lower) = (false, false);
            for c in text.chars() {
                upper |= c.is_uppercase();
                lower |= c.is_lowercase();
            }
            Ok(Some(Value::from(if method == "isupper" { upper && !lower } else { lower && !upper })))
        }
        "istitle" => {
            called.none()?;
            Ok(Some(Value::from(text.chars().any(char::is_uppercase) && title(text) == text)))
        }
        "strip" | "lstrip" | "rstrip" => strip(text, method, called).map(Some),
        "startswith" | "endswith" => edge(text, method, called).map(Some),
        "removeprefix" => {
            let prefix = called.one("prefix")?;
            said(text.strip_prefix(&prefix).unwrap_or(text).to_owned())
        }
        "removesuffix" => {
            let suffix = called.one("suffix")?;
            said(text.strip_suffix(&suffix).unwrap_or(text).to_owned())
        }
        "count" => {
            let wanted = called.one("sub")?;
            Ok(Some(Value::from(text.matches(&wanted).count())))
        }
        "find" | "index" | "rfind" | "rindex" => {
            let wanted = called.one("sub")?;
            let found = if method.starts_with('r') { text.rfind(&wanted) } else { text.find(&wanted) };
            match found.and_then(|byte| text.get(..byte)) {
                Some(before) => Ok(Some(Value::from(before.chars().count()))),
                None if method.ends_with("find") => Ok(Some(Value::from(-1))),
                None => Err(refusal(format!("`{method}` does not find this string"))),
            }
        }
        "replace" => {
            let [old, new, count] = called.take(["old", "new", "count"], 2)?;
            let (old, new) =
                (called.text(old.as_ref())?.unwrap_or_default(), called.text(new.as_ref())?.unwrap_or_default());
            let count = called.number(count.as_ref())?.and_then(|count| usize::try_from(count).ok());
            said(text.replacen(&old, &new, count.unwrap_or(usize::MAX)))
        }
        "join" => {
            let [list] = called.take(["iterable"], 1)?;
            let mut joined = String::new();
            for (index, item) in list.unwrap_or_default().try_iter()?.enumerate() {
                let Some(item) = item.as_str() else {
                    return Err(refusal(format!("`join` needs strings, but item {index} is a {}", item.kind())));
                };
                if index > 0 {
                    joined.push_str(text);
                }
                joined.push_str(item);
            }
            said(joined)
        }
        "split" | "rsplit" => split(text, method, called).map(Some),
        "splitlines" => {
            let [keep] = called.take(["keepends"], 0)?;
            let keep = keep.is_some_and(|keep| keep.is_true());
            let lines = text.split_inclusive('\n').map(|line| {
                let bare = line.strip_suffix('\n').map_or(line, |bare| bare.strip_suffix('\r').unwrap_or(bare));
                Value::from(if keep { line } else { bare })
            });
            Ok(Some(Value::from(lines.collect::<Vec<_>>())))
        }
        "partition" | "rpartition" => {
            let by = called.one("sep")?;
            if by.is_empty() {
                return Err(refusal(format!("`{method}` needs a string that is not empty")));
            }
            let (found, none) = if method == "partition" {
                (text.split_once(&by), (text, "", ""))
            } else {
                (text.rsplit_once(&by), ("", "", text))
            };
            let (before, by, after) = found.map_or(none, |(before, after)| (before, by.as_str(), after));
            Ok(Some(Value::from(Tuple::from([before, by, after].map(Value::from)))))
        }
        "center" | "ljust" | "rjust" | "zfill" => pad(text, method, called).map(Some),
        "format" => format(FormatStyle::StrFormat, text, called.all).map(Value::from).map(Some),
        _ => Ok(None),
    }
}

/// The work of a string method beyond its arguments.
fn growth(text: &str, method: &str, called: &Arguments<'_>, given: u64) -> Result<u64, Error> {
    let bytes = length(text);
    let longest = called.all.iter().filter_map(Value::as_str).map(length).max().unwrap_or(0);
    Ok(match method {
        // Each character at the ends is compared with those to remove.
        "strip" | "lstrip" | "rstrip" => bytes.saturating_mul(longest),
        "replace" => {
            let size = |index: usize| called.positional.get(index).and_then(Value::as_str).map_or(longest, length);
            bytes.checked_div(size(0).max(1)).unwrap_or(bytes).saturating_add(1).saturating_mul(size(1))
        }
        "join" => {
            let items = called.all.first().and_then(Value::len).unwrap_or(0);
            let items = called.all.first().and_then(Value::as_str).map_or(items, str::len);
            u64::try_from(items).unwrap_or(u64::MAX).saturating_mul(bytes.saturating_add(VALUE_BYTES))
        }
        "split" | "rsplit" | "splitlines" => bytes.saturating_mul(VALUE_BYTES),
        "format" => {
            if text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > FORMAT_DIGITS_MAX) {
                return Err(refusal(format!("a field of `format` is at most {FORMAT_DIGITS_MAX} digits wide")));
            }
            if has_fields_in_fields(text) {
                return Err(refusal("a width or precision of `format` must be a number, not a field".to_owned()));
            }
            // Any value can be repeated.
            let fields = text.matches('{').count();
            u64::try_from(fields).unwrap_or(u64::MAX).saturating_mul(given.saturating_add(1_000))
        }
        _ => 0,
    })
}

/// Whether a field of a pattern has another one inside, as in `{:{width}}`.
fn has_fields_in_fields(pattern: &str) -> bool {
    let mut rest = pattern;
    while let Some((_, behind)) = rest.split_once('{') {
        if let Some(literal) = behind.strip_prefix('{') {
            rest = literal;
            continue;
        }
        let (field, behind) = behind.split_once('}').unwrap_or((behind, ""));
        if field.contains('{') {
            return true;
        }
        rest = behind;
    }
    false
}

fn strip(text: &str, method: &str, called: &Arguments<'_>) -> Result<Value, Error> {
    let [characters] = called.take(["chars"], 0)?;
    let characters = called.text(characters.as_ref())?;
    let goes = |c: char| characters.as_ref().map_or(c.is_whitespace(), |characters| characters.contains(c));
    Ok(Value::from(match method {
        "lstrip" => text.trim_start_matches(goes),
        "rstrip" => text.trim_end_matches(goes),
        _ => text.trim_matches(goes),
    }))
}

fn edge(text: &str, method: &str, called: &Arguments<'_>) -> Result<Value, Error> {
    let [wanted] = called.take(["prefix"], 1)?;
    let wanted = wanted.unwrap_or_default();
    let fits = |wanted: &Value| {
        let wanted =
            wanted.as_str().ok_or_else(|| refusal(format!("`{method}` needs a string, or several in brackets")))?;
        Ok(if method == "startswith" { text.starts_with(wanted) } else { text.ends_with(wanted) })
    };
    if wanted.as_str().is_some() {
        return fits(&wanted).map(Value::from);
    }
    let mut any = false;
    for wanted in wanted.try_iter()? {
        any |= fits(&wanted)?;
    }
    Ok(Value::from(any))
}

fn split(text: &str, method: &str, called: &Arguments<'_>) -> Result<Value, Error> {
    let [by, most] = called.take(["sep", "maxsplit"], 0)?;
    let by = called.text(by.as_ref())?;
    let most = called.number(most.as_ref())?.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let pieces = most.saturating_add(1);
    let mut list: Vec<&str> = match by {
        Some(by) if by.is_empty() => return Err(refusal(format!("`{method}` needs a string that is not empty"))),
        Some(by) if method == "split" => text.splitn(pieces, &by).collect(),
        Some(by) => text.rsplitn(pieces, &by).collect(),
        None => split_words(text, method == "rsplit", pieces),
    };
    if method == "rsplit" {
        list.reverse();
    }
    Ok(Value::from(list.into_iter().map(Value::from).collect::<Vec<_>>()))
}

/// At most this many words, from either end; the last is the rest.
fn split_words(text: &str, from_end: bool, pieces: usize) -> Vec<&str> {
    let mut list = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let space = if from_end { rest.rfind(char::is_whitespace) } else { rest.find(char::is_whitespace) };
        let Some(space) = space.filter(|_| list.len().saturating_add(1) < pieces) else { break };
        let behind = rest
            .get(space..)
            .and_then(|rest| rest.chars().next())
            .map_or(space, |c| space.saturating_add(c.len_utf8()));
        let (word, more) =
            if from_end { (rest.get(behind..), rest.get(..space)) } else { (rest.get(..space), rest.get(behind..)) };
        list.push(word.unwrap_or_default());
        let more = more.unwrap_or_default();
        rest = if from_end { more.trim_end() } else { more.trim_start() };
    }
    if !rest.is_empty() {
        list.push(rest);
    }
    list
}

fn pad(text: &str, method: &str, called: &Arguments<'_>) -> Result<Value, Error> {
    let [width, fill] = called.take(["width", "fillchar"], 1)?;
    let width = called.number(width.as_ref())?.and_then(|width| usize::try_from(width).ok()).unwrap_or(0);
    if width > WIDTH_MAX {
        return Err(refusal(format!("`{method}` returns strings of at most {WIDTH_MAX} characters")));
    }
    let fill = called.text(fill.as_ref())?.unwrap_or_else(|| if method == "zfill" { "0" } else { " " }.to_owned());
    if fill.chars().count() != 1 {
        return Err(refusal(format!("`{method}` needs exactly one fill character")));
    }
    let more = width.saturating_sub(text.chars().count());
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) if method == "zfill" => {
            text.split_at_checked(text.len().saturating_sub(digits.len())).unwrap_or(("", text))
        }
        _ => ("", text),
    };
    let before = match method {
        "ljust" => 0,
        // As in CPython: the odd character goes to the left in odd widths.
        "center" => (more / 2).saturating_add(more & width & 1),
        _ => more,
    };
    let behind = more.saturating_sub(before);
    Ok(Value::from(format!("{sign}{}{digits}{}", fill.repeat(before), fill.repeat(behind))))
}

/// Capitalizes each run of letters, as Python does.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        if inside {
            titled.extend(c.to_lowercase());
        } else {
            titled.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    titled
}
