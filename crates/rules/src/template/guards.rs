//! Everything that a template can call, with its cost: the guards that `sandbox` writes into the texts, and every
//! filter, test and function.
//!
//! Two rules make the cost of a step known. An operation that reads or creates as much as its arguments contain weighs
//! all of them; one that only looks at them from outside glances. And lazy values are never nested: what is
//! concatenated, sliced or created by a filter is converted to a list, because a loop could otherwise pile up iterators
//! that a single access has to go through.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State, filters, functions, tests};

use super::budget::{Budget, NAMESPACE_MARK, VALUE_BYTES, length, refusal};
use super::listed::laid_out;
use super::methods;
use super::python;
use super::sandbox::{ENTER, KEEP, NUMBER, PERCENT, PUT, SEARCHED, TEXT, WALKED, WEIGH};

/// Widest field of the `format` filter, in digits of its width.
const FORMAT_DIGITS_MAX: usize = 3;
/// The cost of rounding a number, in bytes of work: it may write a thousand digits and parse them again.
const ROUND_BYTES: u64 = 4 * 1024;
/// Largest number of a `range`, in either direction.
const RANGE_MAX: u64 = 1 << 31;

/// Adds everything that a template can call to an environment.
pub(super) fn add_all(environment: &mut Environment<'static>, budget: &Arc<Budget>) {
    add_guards(environment, budget);
    add_functions(environment, budget);
    add_filters(environment, budget);
    add_tests(environment, budget);
    methods::add(environment, budget);
    environment.remove_global("debug");
    environment.remove_filter("pprint");
}

/// The guards that `sandbox` writes into the texts.
fn add_guards(environment: &mut Environment<'static>, budget: &Arc<Budget>) {
    let keep = Arc::clone(budget);
    environment.add_function(KEEP, move |value: Value| keep.charge_value(&value).map(|()| value));
    let put = Arc::clone(budget);
    environment.add_function(PUT, move |value: Value| put.weigh_inside(&value).map(|_| value));
    let enter = Arc::clone(budget);
    environment.add_function(ENTER, move |bytes: u64, arguments: Rest<Value>| {
        enter.spend(bytes)?;
        arguments.iter().try_for_each(|argument| enter.charge_value(argument))?;
        Ok::<_, Error>(Value::from(""))
    });
    let text = Arc::clone(budget);
    environment.add_filter(TEXT, move |value: Value| {
        text.weigh_inside(&value)?;
        laid_out(value)
    });
    let weigh = Arc::clone(budget);
    environment.add_filter(WEIGH, move |value: Value| weigh.read(&value).map(|()| value));
    let searched = Arc::clone(budget);
    environment.add_filter(SEARCHED, move |value: Value| search(&searched, &value).map(|()| value));
    let walked = Arc::clone(budget);
    environment.add_filter(WALKED, move |value: Value| walked.charge_outer(&value).map(|()| value));
    add_percent(environment, budget);
    environment.add_filter(NUMBER, |value: Value| match value.kind() {
        ValueKind::Number | ValueKind::Bool | ValueKind::Undefined => Ok(value),
        kind => {
            Err(refusal(format!("`*` multiplies numbers, and this is a {kind}; strings and lists cannot be repeated")))
        }
    });
}

/// Adds the filter that replaces `%` after a string: `format` with Python's arguments.
fn add_percent(environment: &mut Environment<'static>, budget: &Arc<Budget>) {
    let budget = Arc::clone(budget);
    let format = Value::from_function(filters::format);
    environment.add_filter(PERCENT, move |state: &mut State, pattern: Value, given: Value| {
        let mut arguments = vec![pattern];
        if given.is_tuple() {
            arguments.extend(given.try_iter()?);
        } else if given.kind() == ValueKind::Map {
            let mut named = Vec::new();
            for key in given.try_iter()? {
                let value = given.get_item(&key)?;
                named.push((key.to_string(), value));
            }
            arguments.push(Kwargs::from_iter(named).into());
        } else {
            arguments.push(given);
        }
        let mut weight = 0_u64;
        for argument in &arguments {
            weight = weight.saturating_add(budget.weigh_inside(argument)?);
        }
        budget.spend(growth("format", &arguments, weight)?)?;
        let result = format.call(state, &arguments)?;
        budget.charge_value(&result).map(|()| result)
    });
}

/// Spends the cost of a search in a value: only the key for a map.
fn search(budget: &Budget, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Map => budget.spend(VALUE_BYTES),
        _ => budget.read(value),
    }
}

fn add_functions(environment: &mut Environment<'static>, budget: &Arc<Budget>) {
    let namespace = Arc::clone(budget);
    let make = Value::from_function(functions::namespace);
    environment.add_function("namespace", move |state: &mut State, values: Rest<ValueOrKwargs>| {
        let mut fields: BTreeMap<String, Value> = BTreeMap::new();
        for value in &values.into_values() {
            namespace.weigh_inside(value)?;
            for key in value.try_iter()? {
                fields.insert(key.to_string(), value.get_item(&key)?);
            }
        }
        fields.insert(NAMESPACE_MARK.to_owned(), Value::from(true));
        make.call(state, &[Value::from(fields)])
    });
    environment.add_function("range", |first: i64, stop: Option<i64>, step: Option<i64>| {
        // The engine's own arithmetic overflows near the ends of the integers.
        let fits = |number: &i64| number.unsigned_abs() <= RANGE_MAX;
        if !fits(&first) || !stop.iter().chain(&step).all(fits) {
            return Err(refusal(format!("the numbers of a range are at most {RANGE_MAX}")));
        }
        let size = |number: i64| isize::try_from(number).unwrap_or(isize::MAX);
        functions::range(size(first), stop.map(size), step.map(size))
    });
    let dict = Arc::clone(budget);
    let make = Value::from_function(functions::dict);
    environment.add_function("dict", move |state: &mut State, values: Rest<ValueOrKwargs>| {
        let values = values.into_values();
        values.iter().try_for_each(|value| dict.weigh_inside(value).map(drop))?;
        make.call(state, &values)
    });
}

/// The tests, weighed first if they read whole values; `in` is the operator.
fn add_tests(environment: &mut Environment<'static>, budget: &Arc<Budget>) {
    let mut add = |names: &[&'static str], test: Value| {
        for name in names {
            let (budget, test) = (Arc::clone(budget), test.clone());
            let is_search = *name == "in";
            environment.add_test(*name, move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
                let arguments = arguments.into_values();
                for (index, argument) in arguments.iter().enumerate() {
                    if is_search && index == 1 {
                        search(&budget, argument)?;
                    } else {
                        budget.read(argument)?;
                    }
                }
                Ok::<_, Error>(test.call(state, &arguments)?.is_true())
            });
        }
    };
    add(&["eq", "equalto", "=="], Value::from_function(tests::is_eq));
    add(&["ne", "!="], Value::from_function(tests::is_ne));
    add(&["lt", "lessthan", "<"], Value::from_function(tests::is_lt));
    add(&["le", "<="], Value::from_function(tests::is_le));
    add(&["gt", "greaterthan", ">"], Value::from_function(tests::is_gt));
    add(&["ge", ">="], Value::from_function(tests::is_ge));
    add(&["in"], Value::from_function(tests::is_in));
    add(&["startingwith"], Value::from_function(tests::is_startingwith));
    add(&["endingwith"], Value::from_function(tests::is_endingwith));
    add(&["lower"], Value::from_function(tests::is_lower));
    add(&["upper"], Value::from_function(tests::is_upper));
    add(&["sameas"], Value::from_function(tests::is_sameas));
    environment.add_test("divisibleby", |value: Value, by: Value| {
        // The engine's own version divides by zero.
        match (i128::try_from(value.clone()), i128::try_from(by.clone())) {
            (Ok(_), Ok(0)) => Err(refusal("cannot divide by zero".to_owned())),
            (Ok(value), Ok(by)) => Ok(value.checked_rem(by).is_none_or(|rest| rest == 0)),
            _ => match (f64::try_from(value), f64::try_from(by)) {
                (Ok(value), Ok(by)) => Ok(value % by == 0.0),
                _ => Ok(false),
            },
        }
    });
}

/// All filters: most are weighed before and after, those that only look from outside are not.
fn add_filters(environment: &mut Environment<'static>, budget: &Arc<Budget>) {
    let mut add = |name: &'static str, filter: Value| {
        let budget = Arc::clone(budget);
        environment.add_filter(name, move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
            let arguments = arguments.into_values();
            let mut weight = 0_u64;
            for argument in &arguments {
                weight = weight.saturating_add(budget.weigh_inside(argument)?);
            }
            budget.spend(growth(name, &arguments, weight)?)?;
            let result = laid_out(filter.call(state, &arguments)?)?;
            budget.weigh_inside(&result)?;
            Ok::<_, Error>(result)
        });
    };
    add("batch", Value::from_function(filters::batch));
    add("capitalize", Value::from_function(filters::capitalize));
    add("chain", Value::from_function(chain));
    add("dictsort", Value::from_function(filters::dictsort));
    add("e", Value::from_function(python::escape));
    add("escape", Value::from_function(python::escape));
    add("format", Value::from_function(filters::format));
    add("groupby", Value::from_function(filters::groupby));
    add("indent", Value::from_function(filters::indent));
    add("items", Value::from_function(filters::items));
    add("join", Value::from_function(filters::join));
    add("lines", Value::from_function(filters::lines));
    add("list", Value::from_function(filters::list));
    add("lower", Value::from_function(filters::lower));
    add("map", Value::from_function(filters::map));
    add("max", Value::from_function(filters::max));
    add("min", Value::from_function(filters::min));
    add("reject", Value::from_function(filters::reject));
    add("rejectattr", Value::from_function(filters::rejectattr));
    add("replace", Value::from_function(python::replace));
    add("reverse", Value::from_function(filters::reverse));
    add("round", Value::from_function(filters::round));
    add("safe", Value::from_function(filters::safe));
    add("select", Value::from_function(filters::select));
    add("selectattr", Value::from_function(filters::selectattr));
    add("slice", Value::from_function(filters::slice));
    add("sort", Value::from_function(filters::sort));
    add("split", Value::from_function(filters::split));
    add("string", Value::from_function(filters::string));
    add("sum", Value::from_function(filters::sum));
    add("title", Value::from_function(filters::title));
    add("tojson", Value::from_function(to_json));
    add("trim", Value::from_function(filters::trim));
    add("unique", Value::from_function(filters::unique));
    add("upper", Value::from_function(filters::upper));
    add("zip", Value::from_function(filters::zip));
    let mut glance = |name: &'static str, filter: Value| {
        let budget = Arc::clone(budget);
        environment.add_filter(name, move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
            let arguments = arguments.into_values();
            arguments.iter().try_for_each(|argument| budget.charge_outer(argument))?;
            filter.call(state, &arguments)
        });
    };
    glance("abs", Value::from_function(filters::abs));
    glance("bool", Value::from_function(filters::bool));
    glance("count", Value::from_function(filters::length));
    glance("d", Value::from_function(filters::default));
    glance("default", Value::from_function(filters::default));
    glance("first", Value::from_function(filters::first));
    glance("float", Value::from_function(python::to_float));
    glance("int", Value::from_function(python::to_int));
    glance("last", Value::from_function(filters::last));
    glance("length", Value::from_function(filters::length));
    // The key is compared with those of a map, whatever its type.
    let attr = Arc::clone(budget);
    environment.add_filter("attr", move |value: Value, key: Value| {
        attr.charge_outer(&value)?;
        attr.read(&key)?;
        filters::attr(&value, &key)
    });
}

/// Concatenates lists, or merges maps with the last one first; maps are copied, because each access to the engine's own
/// version goes through all its parts.
fn chain(state: &State, first: Value, others: Rest<Value>) -> Result<Value, Error> {
    let is_map = |value: &Value| value.kind() == ValueKind::Map;
    if !is_map(&first) || !others.iter().all(is_map) {
        return filters::chain(state, first, others);
    }
    let mut fields: BTreeMap<Value, Value> = BTreeMap::new();
    for map in std::iter::once(&first).chain(others.iter()) {
        for key in map.try_iter()? {
            let value = map.get_item(&key)?;
            fields.insert(key, value);
        }
    }
    Ok(Value::from(fields))
}

/// A value as JSON; `indent` for one field per line, with this many spaces per level.
#[allow(clippy::needless_pass_by_value, reason = "the engine hands arguments over")]
fn to_json(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let indent = match indent {
        None => options.get::<Option<Value>>("indent")?,
        some => some,
    };
    options.assert_all_used()?;
    let indent = indent.filter(|indent| !indent.is_none()).map(|indent| {
        indent
            .as_usize()
            .ok_or_else(|| refusal(format!("`indent` of `tojson` must be a number, not a {}", indent.kind())))
    });
    python::json(value, indent.transpose()?)
}

/// The work of a filter beyond the weight of its arguments and result.
fn growth(name: &str, arguments: &[Value], weight: u64) -> Result<u64, Error> {
    let Some((input, options)) = arguments.split_first() else { return Ok(0) };
    let text = input.as_str();
    let bytes = text.map_or(0, length);
    let items = input.len().and_then(|items| u64::try_from(items).ok()).unwrap_or(0).saturating_add(1);
    let options: Vec<Value> = options.iter().flat_map(flat).collect();
    let longest = options.iter().filter_map(|option| option.as_str().map(length)).max().unwrap_or(0);
    let largest = options.iter().filter_map(Value::as_usize).max().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let looked_up = items.saturating_mul(longest);
    Ok(match name {
        "capitalize" | "lower" | "safe" | "string" | "title" | "upper" => 0,
        "round" => ROUND_BYTES,
        // Each level of what is indented adds to every line.
        "tojson" => {
            if options.is_empty() {
                0
            } else {
                weight.saturating_mul(32)
            }
        }
        // Each character at the ends is compared with those to remove.
        "trim" => bytes.saturating_mul(longest),
        "e" | "escape" => bytes.saturating_mul(6),
        "format" => {
            let pattern = text.unwrap_or_default();
            let wide = pattern.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > FORMAT_DIGITS_MAX);
            if wide || pattern.contains('*') {
                return Err(refusal(format!("a field of `format` is at most {FORMAT_DIGITS_MAX} digits wide")));
            }
            let fields = length(pattern).min(u64::try_from(pattern.matches('%').count()).unwrap_or(u64::MAX));
            // A named field can be repeated.
            let field = if pattern.contains('(') { weight } else { longest };
            fields.saturating_mul(field.saturating_add(1_000))
        }
        "indent" => {
            let lines = u64::try_from(text.unwrap_or_default().matches('\n').count()).unwrap_or(u64::MAX);
            lines.saturating_add(2).saturating_mul(largest.max(4))
        }
        "replace" => {
            let from = options.first().and_then(Value::as_str).map_or(1, length).max(1);
            let with = options.get(1).map_or(0, |with| with.as_str().map_or(VALUE_BYTES, length));
            bytes.checked_div(from).unwrap_or(bytes).saturating_add(1).saturating_mul(with)
        }
        "join" => items.saturating_mul(longest.saturating_add(VALUE_BYTES)),
        "batch" | "slice" => {
            bytes.saturating_mul(VALUE_BYTES).saturating_add(largest.saturating_mul(VALUE_BYTES.saturating_mul(2)))
        }
        "sum" => {
            let start =
                arguments.get(2).cloned().or_else(|| arguments.last().and_then(|last| last.get_attr("start").ok()));
            if start.is_some_and(|start| !start.is_number() && !start.is_undefined()) {
                return Err(refusal("`sum` only adds numbers".to_owned()));
            }
            bytes.saturating_mul(VALUE_BYTES).saturating_add(looked_up)
        }
        "sort" | "dictsort" | "groupby" | "unique" => {
            // Each of several attributes is copied from every item, and each item is compared a few times.
            let attributes = options.iter().filter_map(Value::as_str).map(|names| names.matches(',').count());
            let attributes = u64::try_from(attributes.max().unwrap_or(0)).unwrap_or(u64::MAX);
            let rounds = u64::from(items.ilog2()).checked_div(4).unwrap_or(0).saturating_add(attributes);
            weight.saturating_mul(rounds).saturating_add(bytes.saturating_mul(VALUE_BYTES)).saturating_add(looked_up)
        }
        _ => bytes.saturating_mul(VALUE_BYTES).saturating_add(looked_up),
    })
}

/// An argument, or the values of keyword arguments.
fn flat(argument: &Value) -> Vec<Value> {
    if !argument.is_kwargs() {
        return vec![argument.clone()];
    }
    argument.try_iter().map(|keys| keys.filter_map(|key| argument.get_item(&key).ok()).collect()).unwrap_or_default()
}
