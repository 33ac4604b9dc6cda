//! A case and the settings of a suite as typed: the fields of a form, and what they change.
//!
//! A form has the usual parts. What it does not show stays as it is, and a field that was not changed changes nothing:
//! values that a field cannot show exactly are kept, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::Fields;
use crate::form::FormValues;
use crate::json;
use crate::model::suite::{Case, Check, CheckKind, GateRule, ModelNameError, SCORERS_MAX, Scorer, Suite};

/// Most variables that a form of a case shows besides its own.
pub const VARIABLES_MAX: usize = 50;

/// What a form says of a suite, or what is wrong with it by field.
pub type Typed<T> = Result<T, Fields>;

/// The fields of a case; of a new one, those of the variables that other cases set.
#[must_use]
pub fn case_fields(case: Option<&Case>, suite: Option<&Suite>) -> FormValues {
    let blank = Case { weight: 1.0, ..Case::default() };
    let case = case.unwrap_or(&blank);
    let mut fields = FormValues::default();
    fields.put("name", case.name.as_str());
    let others = suite.into_iter().flat_map(|suite| suite.cases.iter().flat_map(|case| case.variables.keys()));
    let own: BTreeSet<&String> = case.variables.keys().collect();
    let others: BTreeSet<&String> = others.filter(|name| !own.contains(name)).collect();
    let others = others.into_iter().take(VARIABLES_MAX).map(|name| (name, None));
    let variables = case.variables.iter().map(|(name, value)| (name, Some(value))).chain(others);
    for (index, (name, value)) in variables.enumerate() {
        fields.set(format!("v{index}.name"), name.as_str());
        fields.set(format!("v{index}.value"), shown(value, None));
    }
    match said(&case.messages) {
        Some(text) => fields.put("message", text),
        None => fields.put("messages", pretty(&Value::Array(case.messages.clone()))),
    }
    fields.put("expected", shown(case.expected.as_ref(), None));
    fields.put("tags", case.tags.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    fields.put("weight", case.weight.to_string());
    fields.put("threshold", number(case.threshold));
    if case.must_pass {
        fields.put("must_pass", "yes");
    }
    put_scorers(&mut fields, &case.scorers);
    fields
}

/// The case of a form: what was there before, with what was changed.
///
/// # Errors
/// What is wrong, by field.
pub fn case_of(fields: &FormValues, before: Option<&Case>) -> Typed<Case> {
    let was = case_fields(before, None);
    let mut wrong = Fields::new();
    let mut case = before.cloned().unwrap_or_else(|| Case { weight: 1.0, ..Case::default() });
    let changed = |name: &str| text(fields, name) != text(&was, name);
    if changed("name") {
        fields.get("name").trim().clone_into(&mut case.name);
    }
    variables(fields, &mut case.variables, &mut wrong);
    if changed("messages") {
        match json::read::<Vec<Map<String, Value>>>(text(fields, "messages").as_bytes()) {
            Ok(messages) => case.messages = messages.into_iter().map(Value::Object).collect(),
            Err(_) if text(fields, "messages").trim().is_empty() => case.messages.clear(),
            Err(error) => drop(wrong.insert("messages".to_owned(), format!("not a JSON list of messages: {error}"))),
        }
    } else if changed("message") {
        let message = text(fields, "message");
        case.messages.clear();
        if !message.trim().is_empty() {
            case.messages.push(json!({ "role": "user", "content": message }));
        }
    }
    if changed("expected") {
        case.expected = value(&text(fields, "expected"), None, case.expected.as_ref());
    }
    if changed("tags") {
        let tags = fields.get("tags").split(',').map(str::trim).filter(|tag| !tag.is_empty());
        case.tags = tags.map(str::to_owned).collect::<BTreeSet<_>>();
    }
    if changed("weight") {
        case.weight = parsed(fields, "weight", &mut wrong).unwrap_or(1.0);
    }
    if changed("threshold") {
        case.threshold = parsed(fields, "threshold", &mut wrong);
    }
    case.must_pass = fields.ticked("must_pass");
    case.scorers = scorers_of(fields, &mut wrong);
    if wrong.is_empty() { Ok(case) } else { Err(wrong) }
}

/// The fields of everything in a suite but its cases.
#[must_use]
pub fn settings_fields(suite: &Suite) -> FormValues {
    let mut fields = FormValues::default();
    let Suite { description, models, repeats, budget, gate, threshold, scorers, .. } = suite;
    fields.put("description", description.as_str());
    fields.put("models", models.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    fields.put("repeats", repeats.to_string());
    fields.put("max_cost_usd", budget.max_cost_usd.map(|usd| usd.to_string()).unwrap_or_default());
    fields.put("max_calls", number(budget.max_calls));
    fields.put("pass_rate", gate.pass_rate.to_string());
    fields.put("margin", number(gate.margin));
    fields.put("consistency", number(gate.consistency));
    fields.put("latency_p95_ms", number(gate.latency_p95_ms));
    fields.put("cost_mean_usd", gate.cost_mean_usd.map(|usd| usd.to_string()).unwrap_or_default());
    let metrics: Vec<String> = gate.metrics.iter().map(|(name, least)| format!("{name}: {least}")).collect();
    fields.put("metrics", metrics.join("\n"));
    fields.put("threshold", number(*threshold));
    if gate.confident {
        fields.put("confident", "yes");
    }
    put_scorers(&mut fields, scorers);
    fields
}

/// The suite of a form: the cases and everything else of the one before, with what was changed.
///
/// # Errors
/// What is wrong, by field.
pub fn settings_of(fields: &FormValues, before: &Suite) -> Typed<Suite> {
    let mut wrong = Fields::new();
    let (mut suite, was) = (before.clone(), settings_fields(before));
    let changed = |name: &str| text(fields, name) != text(&was, name);
    if changed("description") {
        text(fields, "description").trim().clone_into(&mut suite.description);
    }
    if changed("models") {
        match fields.get("models").split_whitespace().map(str::parse).collect() {
            Ok(models) => suite.models = models,
            Err(error) => drop(wrong.insert("models".to_owned(), ModelNameError::to_string(&error))),
        }
    }
    suite.repeats = parsed(fields, "repeats", &mut wrong).unwrap_or(1);
    suite.budget.max_cost_usd = parsed(fields, "max_cost_usd", &mut wrong);
    suite.budget.max_calls = parsed(fields, "max_calls", &mut wrong);
    suite.threshold = parsed(fields, "threshold", &mut wrong);
    suite.gate = GateRule {
        pass_rate: parsed(fields, "pass_rate", &mut wrong).unwrap_or(1.0),
        confident: fields.ticked("confident"),
        metrics: if changed("metrics") { metrics(fields, &mut wrong) } else { before.gate.metrics.clone() },
        margin: parsed(fields, "margin", &mut wrong),
        consistency: parsed(fields, "consistency", &mut wrong),
        latency_p95_ms: parsed(fields, "latency_p95_ms", &mut wrong),
        cost_mean_usd: parsed(fields, "cost_mean_usd", &mut wrong),
    };
    suite.scorers = scorers_of(fields, &mut wrong);
    if wrong.is_empty() { Ok(suite) } else { Err(wrong) }
}

/// How many scorers a form has, empty ones included.
#[must_use]
pub fn scorer_count(fields: &FormValues) -> usize {
    (0..SCORERS_MAX).take_while(|index| fields.ticked(&format!("s{index}.type"))).count()
}

/// Adds an empty scorer to a form.
pub fn add_scorer(fields: &mut FormValues) {
    let index = scorer_count(fields);
    if index < SCORERS_MAX {
        fields.set(format!("s{index}.type"), String::new());
    }
}

fn put_scorers(fields: &mut FormValues, scorers: &[Scorer]) {
    for (index, scorer) in scorers.iter().enumerate() {
        for (end, text) in scorer_fields(scorer) {
            fields.set(format!("s{index}.{end}"), text);
        }
        fields.put(format!("s{index}.was"), serde_json::to_string(scorer).unwrap_or_default());
    }
}

fn scorer_fields(scorer: &Scorer) -> [(&'static str, String); 6] {
    [
        ("type", scorer.check.to_string()),
        ("value", shown(scorer.value.as_ref(), Some(scorer.check.kind))),
        ("threshold", number(scorer.threshold)),
        ("weight", scorer.weight.to_string()),
        ("metric", scorer.metric.clone().unwrap_or_default()),
        ("model", scorer.model.as_ref().map(ToString::to_string).unwrap_or_default()),
    ]
}

/// The scorers of a form; one without a type is not there.
fn scorers_of(fields: &FormValues, wrong: &mut Fields) -> Vec<Scorer> {
    let mut scorers = Vec::new();
    for index in 0..scorer_count(fields) {
        let name = |end: &str| format!("s{index}.{end}");
        if fields.get(&name("type")).is_empty() {
            continue;
        }
        let check = match fields.get(&name("type")).parse::<Check>() {
            Ok(check) => check,
            Err(error) => {
                wrong.insert(name("type"), error.to_string());
                continue;
            }
        };
        let was = json::read::<Scorer>(fields.get(&name("was")).as_bytes()).ok();
        let shown: BTreeMap<_, _> = was.iter().flat_map(scorer_fields).collect();
        let changed = |end: &str| shown.get(end).is_none_or(|shown| *shown != text(fields, &name(end)));
        let mut scorer = was.clone().unwrap_or_else(|| Scorer::new(check.kind, None));
        scorer.check = check;
        if changed("value") {
            let before = was.as_ref().and_then(|was| was.value.as_ref());
            scorer.value = value(&text(fields, &name("value")), Some(check.kind), before);
        }
        if changed("threshold") {
            scorer.threshold = parsed(fields, &name("threshold"), wrong);
        }
        if changed("weight") {
            scorer.weight = parsed(fields, &name("weight"), wrong).unwrap_or(1.0);
        }
        if changed("metric") {
            scorer.metric = Some(fields.get(&name("metric")).trim().to_owned()).filter(|metric| !metric.is_empty());
        }
        if changed("model") {
            scorer.model = parsed(fields, &name("model"), wrong);
        }
        scorers.push(scorer);
    }
    scorers
}

/// The names of the variables of a form, in its order; their values are the fields `v0.value` and so on.
pub fn variable_names(fields: &FormValues) -> impl Iterator<Item = &str> {
    let named = |index| format!("v{index}.name");
    (0..).map(named).take_while(|name| fields.ticked(name)).map(|name| fields.get(&name))
}

/// The variables of a case, and one that is new.
fn variables(fields: &FormValues, variables: &mut Map<String, Value>, wrong: &mut Fields) {
    for (index, name) in variable_names(fields).enumerate() {
        let typed = text(fields, &format!("v{index}.value"));
        let before = variables.get(name);
        if before.is_some() && typed == shown(before, None) {
            continue;
        }
        match value(&typed, None, before) {
            Some(value) => drop(variables.insert(name.to_owned(), value)),
            None => drop(variables.shift_remove(name)),
        }
    }
    let (name, typed) = (fields.get("new.name").trim(), text(fields, "new.value"));
    match value(&typed, None, None) {
        Some(_) if name.is_empty() => drop(wrong.insert("new.name".to_owned(), "give the variable a name".to_owned())),
        Some(value) => drop(variables.insert(name.to_owned(), value)),
        None => {}
    }
}

/// The lowest means of metrics: a name, a colon and a number on each line.
fn metrics(fields: &FormValues, wrong: &mut Fields) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    for line in text(fields, "metrics").lines().filter(|line| !line.trim().is_empty()) {
        let pair = line.rsplit_once(':').map(|(name, least)| (name.trim().to_owned(), least.trim().parse::<f64>()));
        match pair {
            Some((name, Ok(least))) if !name.is_empty() => drop(metrics.insert(name, least)),
            _ => {
                let line: String = line.chars().take(60).collect();
                wrong.insert(
                    "metrics".to_owned(),
                    format!("`{line}` is not a metric and a number; write accuracy: 0.9"),
                );
            }
        }
    }
    metrics
}

/// A value as a form shows it: a text as it is, a list of texts as lines where the scorer takes one, anything else as
/// JSON.
fn shown(value: Option<&Value>, kind: Option<CheckKind>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) if as_json(text).is_none() => text.replace("\r\n", "\n"),
        Some(Value::Array(items)) if items.len() > 1 && kind.is_some_and(takes_list) => {
            let line = |item: &Value| item.as_str().filter(|text| is_line(text)).map(str::to_owned);
            let lines: Option<Vec<String>> = items.iter().map(line).collect();
            lines.map_or_else(|| pretty(&Value::Array(items.clone())), |lines| lines.join("\n"))
        }
        Some(other) => pretty(other),
    }
}

/// What a field means: nothing if it is empty; JSON if it is a list, an object or in quotes, or was no text before; a
/// list for scorers that take one, if it has several lines; otherwise a text.
fn value(text: &str, kind: Option<CheckKind>, before: Option<&Value>) -> Option<Value> {
    if text.trim().is_empty() {
        return None;
    }
    if let Some(value) = as_json(text) {
        return Some(value);
    }
    let was_other = before.is_some_and(|before| !before.is_string());
    if (was_other || kind == Some(CheckKind::WordCount))
        && let Ok(value) = json::read::<Value>(text.as_bytes())
    {
        return Some(value);
    }
    let lines: Vec<Value> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Value::from).collect();
    if lines.len() > 1 && kind.is_some_and(takes_list) {
        return Some(Value::Array(lines));
    }
    Some(Value::String(text.to_owned()))
}

/// A list, an object or a quoted text, if it is one.
fn as_json(text: &str) -> Option<Value> {
    if text.trim_start().starts_with(['[', '{', '"']) { json::read(text.trim().as_bytes()).ok() } else { None }
}

const fn takes_list(kind: CheckKind) -> bool {
    matches!(kind, CheckKind::ContainsAll | CheckKind::ContainsAny | CheckKind::IcontainsAll | CheckKind::IcontainsAny)
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(['\n', '\r']) && as_json(text).is_none()
}

/// The text of the only message, if it is one of the user and nothing else.
fn said(messages: &[Value]) -> Option<&str> {
    match messages {
        [] => Some(""),
        [message] => {
            let fields = message.as_object().filter(|fields| fields.len() == 2)?;
            fields.get("role").and_then(Value::as_str).filter(|role| *role == "user")?;
            fields.get("content")?.as_str()
        }
        _ => None,
    }
}

fn pretty(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
        other => other.to_string(),
    }
}

fn number(number: Option<impl Display>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// A number of a form; none if it is empty.
fn parsed<T: FromStr>(fields: &FormValues, name: &str, wrong: &mut Fields) -> Option<T>
where
    T::Err: Display,
{
    let text = fields.get(name).trim();
    if text.is_empty() {
        return None;
    }
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            let shown: String = text.chars().take(60).collect();
            wrong.insert(name.to_owned(), format!("`{shown}`: {error}"));
            None
        }
    }
}

/// The text of a field; browsers send line ends as two characters.
fn text(fields: &FormValues, name: &str) -> String {
    fields.get(name).replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser sends for a form that nobody changed.
    fn sent(fields: &FormValues) -> FormValues {
        FormValues::new(fields.all("").map(|(name, value)| (name.to_owned(), value.replace('\n', "\r\n"))).collect())
    }

    fn case(json: Value) -> Case {
        serde_json::from_value(json).expect("a case")
    }

    #[test]
    fn form_that_nobody_changed_changes_nothing() {
        for json in [
            json!({"name": "a"}),
            json!({"name": "b", "variables": {"n": 5, "text": "5", "list": ["a"], "json": "[1]", "empty": ""},
                "messages": [{"role": "user", "content": "Hi\nthere"}], "expected": {"a": 1}, "tags": ["x, y", "z"],
                "weight": 2.5, "must_pass": true, "threshold": 0.5, "metadata": {"from": "here"},
                "scorers": [{"type": "not-contains-any", "value": ["a", "b"], "metric": "safety"},
                    {"type": "contains-all", "value": ["a\nb", "c"]}, {"type": "equals", "value": "\"quoted\""},
                    {"type": "word-count", "value": 5}, {"type": "contains", "value": "5"},
                    {"type": "assert-set", "threshold": 0.5, "scorers": [{"type": "is-json"}], "config": {"k": 1}}]}),
            json!({"name": "c", "messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]}),
            json!({"name": "d", "messages": [{"role": "user", "content": "one", "name": "ann"}], "expected": "[not json"}),
        ] {
            let before = case(json);
            let after = case_of(&sent(&case_fields(Some(&before), None)), Some(&before));
            assert_eq!(after, Ok(before));
        }
        let suite: Suite = serde_json::from_value(json!({
            "description": "What it is for", "models": ["local:a b", "local:c"], "repeats": 3, "variables": {"x": 1},
            "budget": {"max_cost_usd": "2.5", "max_calls": 9}, "threshold": 0.9,
            "gate": {"pass_rate": 0.95, "confident": true, "metrics": {"a: b": 0.9}, "margin": 0.02, "latency_p95_ms": 800},
            "scorers": [{"type": "icontains", "value": "a"}], "cases": [{"name": "a"}],
        }))
        .expect("a suite");
        assert_eq!(settings_of(&sent(&settings_fields(&suite)), &suite), Ok(suite));
    }

    #[test]
    fn changed_fields_change_their_parts_and_nothing_else() {
        let before = case(json!({"name": "a", "variables": {"n": 5, "q": "old"}, "metadata": {"from": "here"},
            "scorers": [{"type": "contains", "value": "x", "config": {"k": 1}}, {"type": "is-json"}]}));
        let mut fields = case_fields(Some(&before), None);
        for (name, value) in [
            ("name", " b "),
            ("v0.value", "6"),
            ("v1.value", ""),
            ("new.name", "item"),
            ("new.value", "a chair"),
            ("message", "Hello"),
            ("expected", "{\"a\": 1}"),
            ("tags", "x, ,y"),
            ("weight", "2"),
            ("must_pass", "yes"),
            ("s0.type", "not-contains-any"),
            ("s0.value", "one\r\ntwo\r\n"),
            ("s1.type", ""),
        ] {
            fields.set(name.to_owned(), value.to_owned());
        }
        let expected = case(json!({"name": "b", "variables": {"n": 6, "item": "a chair"}, "expected": {"a": 1},
            "messages": [{"role": "user", "content": "Hello"}], "tags": ["x", "y"], "weight": 2.0, "must_pass": true,
            "metadata": {"from": "here"},
            "scorers": [{"type": "not-contains-any", "value": ["one", "two"], "config": {"k": 1}}]}));
        assert_eq!(case_of(&fields, Some(&before)), Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_said_beside_its_field() {
        let mut fields = case_fields(None, None);
        add_scorer(&mut fields);
        for (name, value) in
            [("weight", "much"), ("messages", "[1]"), ("new.value", "x"), ("s0.type", "dances"), ("threshold", "0,5")]
        {
            fields.set(name.to_owned(), value.to_owned());
        }
        let wrong = case_of(&fields, None).expect_err("wrong");
        assert_eq!(wrong.keys().collect::<Vec<_>>(), ["messages", "new.name", "s0.type", "threshold", "weight"]);
        assert!(
            wrong["s0.type"].contains("unknown scorer `dances`") && wrong["weight"].contains("`much`"),
            "{wrong:?}"
        );
        let mut fields = settings_fields(&Suite { repeats: 1, ..Suite::default() });
        fields.set("metrics".to_owned(), "accuracy 0.9".to_owned());
        fields.set("models".to_owned(), "gpt".to_owned());
        let wrong = settings_of(&fields, &Suite::default()).expect_err("wrong");
        assert!(wrong["metrics"].contains("write accuracy: 0.9") && wrong["models"].contains("PROVIDER:MODEL"));
    }
}
