//! Runs Jinja texts: the template engine with strict variables, no loader and limits.
//!
//! Limited are steps (fuel), recursion, output (while it is written), work and time: see `budget`. Where the engine has
//! no hook for weighing, `sandbox` has written a guard into the text. No escaping: prompts are not HTML.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::budget::{Budget, WORK_BYTES_MAX};
use super::calls;
use super::engine_error::error_text;
use super::error::{Place, TemplateError, excerpt};
use super::guards::add_all;
use super::methods;
use super::python;
use super::sandbox::{Guarded, guard};
use super::uses::{Call, uses};
use crate::clock::Cancellation;
use crate::model::content::{Variable, VariableType};

/// Most steps of one rendering, all its texts together.
const FUEL_MAX: u64 = 200_000;
/// Steps times bytes of input, so that a large input leaves fewer steps.
const STEP_BYTES_MAX: u64 = 1 << 36;
/// Maximum depth of macro calls, in the engine's measure: a call counts five.
const RECURSION_MAX: usize = 150;

/// The engine and the remaining limits of one rendering.
pub(super) struct Engine {
    environment: Environment<'static>,
    budget: Arc<Budget>,
    fuel: u64,
}

/// Why a text could not be rendered.
pub(super) enum Failure {
    /// The text is invalid, or fails with its variables.
    Template(TemplateError),
    /// The output exceeds its limit.
    TooLong,
    /// It was stopped before its end.
    Stopped,
}

impl Engine {
    /// An engine for rendering texts and variables of this total size, which stops when `stop` is due.
    pub fn new(input_bytes: usize, stop: &Cancellation) -> Self {
        Self::with_work(input_bytes, WORK_BYTES_MAX, stop)
    }

    fn with_work(input_bytes: usize, work_bytes: u64, stop: &Cancellation) -> Self {
        let bytes = u64::try_from(input_bytes).unwrap_or(u64::MAX).max(1);
        let fuel = STEP_BYTES_MAX.checked_div(bytes).unwrap_or(0).min(FUEL_MAX);
        let budget = Arc::new(Budget::new(work_bytes, stop.clone()));
        Self { environment: environment(&budget), budget, fuel }
    }

    /// Renders one text, with a limit in bytes.
    pub fn render(&mut self, text: &str, variables: &Value, bytes_max: usize) -> Result<String, Failure> {
        let guarded = guard(text).map_err(Failure::Template)?;
        self.environment.set_fuel(Some(self.fuel));
        let mut output = Output { bytes: Vec::new(), bytes_max, full: false };
        let levels = render(&self.environment, &guarded.source, variables, &mut output);
        if output.full {
            return Err(Failure::TooLong);
        }
        if self.budget.is_stopped() {
            return Err(Failure::Stopped);
        }
        let levels = levels.map_err(|error| Failure::Template(explain(text, &guarded, &error)))?;
        self.fuel = levels.unwrap_or(0);
        Ok(String::from_utf8_lossy(&output.bytes).into_owned())
    }
}

/// Renders a guarded source and returns the remaining fuel.
fn render(
    environment: &Environment<'static>,
    source: &str,
    variables: &Value,
    output: &mut Output,
) -> Result<Option<u64>, Error> {
    let environment: &Environment<'_> = environment;
    let template = environment.template_from_str(source)?;
    let captured = template.render_captured_to(variables.clone(), output)?;
    Ok(captured.state().fuel_levels().map(|(_, left)| left))
}

/// Compiles a text: the variables that it uses, and whether each is optional.
///
/// # Errors
/// The text is not a valid template, uses unknown names, or is rejected by the sandbox.
pub(super) fn names(text: &str) -> Result<BTreeMap<&str, bool>, TemplateError> {
    let guarded = guard(text)?;
    let environment = environment_of(&Cancellation::never());
    compile(&environment, &guarded.source).map_err(|error| explain(text, &guarded, &error))?;
    let uses = uses(text)?;
    let mut state = environment.empty_state();
    for (name, at) in uses.filters {
        if state.apply_filter(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownFilter) {
            return Err(TemplateError::at(
                text,
                at,
                format!("there is no filter `{}`{}", excerpt(name), suggested_filter(name)),
            ));
        }
    }
    for (name, at) in uses.tests {
        if state.perform_test(name, &[]).is_err_and(|error| error.kind() == ErrorKind::UnknownTest) {
            return Err(TemplateError::at(text, at, format!("there is no test `{}`", excerpt(name))));
        }
    }
    calls::check(text, &|| environment_of(&Cancellation::never()))?;
    Ok(uses.variables)
}

/// Checks the methods that a text calls on its variables against their declared types.
///
/// # Errors
/// A type has no such method.
pub(super) fn check_methods(text: &str, declared: &[Variable]) -> Result<(), TemplateError> {
    for Call { variable, method, at } in uses(text)?.calls {
        let kind = match variable {
            None => VariableType::String,
            Some(name) => {
                declared.iter().find(|found| found.name == name).map_or(VariableType::Any, |found| found.kind)
            }
        };
        if let Some(message) = methods::missing(method, kind) {
            return Err(TemplateError::at(text, at, message));
        }
    }
    Ok(())
}

/// The replacement for an unsupported filter of jinja2.
fn suggested_filter(filter: &str) -> &'static str {
    match filter {
        "center" => "; use the method, as in `x.center(80)`",
        "wordcount" => "; use `x.split()|length`",
        "truncate" => "; use a slice, as in `x[:200]`",
        "forceescape" => "; use `escape`",
        "pprint" => "; use `tojson(indent=2)`",
        "urlencode" | "striptags" | "wordwrap" | "filesizeformat" | "xmlattr" | "urlize" | "random" => {
            "; pass the value in a variable as it should be printed"
        }
        _ => "",
    }
}

fn compile(environment: &Environment<'_>, source: &str) -> Result<(), Error> {
    environment.template_from_str(source).map(|_| ())
}

/// Translates place and reason to the text as written.
fn explain(text: &str, guarded: &Guarded, error: &Error) -> TemplateError {
    let message = error_text(error);
    let place = match (error.range(), error.line()) {
        (Some(range), _) => Place::of(1, text, guarded.written(range.start)),
        (None, line) => Place { text: 1, line: line.unwrap_or(1), column: 1 },
    };
    TemplateError::Syntax { place, message }
}

/// Collects output up to a limit.
struct Output {
    bytes: Vec<u8>,
    bytes_max: usize,
    full: bool,
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.bytes_max.saturating_sub(self.bytes.len()) {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn environment_of(stop: &Cancellation) -> Environment<'static> {
    environment(&Arc::new(Budget::new(WORK_BYTES_MAX, stop.clone())))
}

/// The syntax of texts.
pub(super) fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default()
}

fn environment(budget: &Arc<Budget>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_recursion_limit(RECURSION_MAX);
    environment.set_debug(true);
    environment.set_syntax(syntax());
    let formatter = Arc::clone(budget);
    environment.set_formatter(move |output, state, value| {
        formatter.read(value)?;
        match python::float(value) {
            Some(number) => Ok(output.write_str(&number)?),
            None => minijinja::escape_formatter(output, state, value),
        }
    });
    add_all(&mut environment, budget);
    environment
}

/// The result of a text within a work limit, and the remaining work.
#[cfg(test)]
pub(super) fn run_within(
    text: &str,
    values: &Value,
    work_bytes: u64,
    stop: &Cancellation,
) -> (Result<String, String>, u64) {
    let mut engine = Engine::with_work(text.len(), work_bytes, stop);
    let result = engine.render(text, values, 1 << 22).map_err(|failure| match failure {
        Failure::Template(error) => error.to_string(),
        Failure::TooLong => "too long".to_owned(),
        Failure::Stopped => "stopped".to_owned(),
    });
    (result, engine.budget.left())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use serde_json::json;

    use super::*;

    fn run(text: &str, variables: &serde_json::Value) -> Result<String, String> {
        let values = Value::from(minijinja::value::Serde(variables));
        run_within(text, &values, WORK_BYTES_MAX, &Cancellation::never()).0
    }

    #[test]
    fn ordinary_templates_render_as_jinja_does() {
        let variables = json!({
            "name": "Ada", "n": 3, "items": ["a", "b"], "user": {"name": "Bo", "tags": ["x"]}, "html": "<b>{{ name }}",
        });
        for (text, expected) in [
            ("Hi {{ name }}!\n", "Hi Ada!\n"),
            ("{{ html }}", "<b>{{ name }}"),
            (
                "{% for i in items %}{{ loop.index + 1 }}{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}",
                "2a, 3b",
            ),
            ("{% for i in items if i != 'a' %}{{ i }}{% else %}none{% endfor %}", "b"),
            ("{% for k, v in user|items %}{{ k }} {% endfor %}", "name tags "),
            ("{{ 'x' ~ n ~ name|upper ~ '!' }} {{ 2 * n ** 2 }} {{ 1.5 * -n|abs }} {{ n - 1 * 2 }}", "x3ADA! 18 4.5 1"),
            ("{% set t = name ~ '?' %}{{ t }}{% set a, b = 1, 2 %}{{ a + b }}", "Ada?3"),
            ("{% set ns = namespace(c=0) %}{% for i in items %}{% set ns.c = ns.c + 1 %}{% endfor %}{{ ns.c }}", "2"),
            ("{% macro m(x, y='d') -%}\n [{{ x }}{{ y }}] {%- endmacro %}{{ m(1) }}{{ m(2, y=3) }}", "[1d][23]"),
            ("{% set b %} x{{ name }} {% endset %}{{ b|trim }}", "xAda"),
            ("{% filter upper %}a{{ name }}{% endfilter %}", "AADA"),
            ("{% with a = name, b = n %}{{ a }}{{ b }}{% endwith %}", "Ada3"),
            (
                "{{ items|join(', ') }} {{ items|map('upper')|list }} {{ user|tojson }}",
                "a, b ['A', 'B'] {\"name\": \"Bo\", \"tags\": [\"x\"]}",
            ),
            ("{{ missing|default('d') }}{% if missing is defined %}x{% endif %}", "d"),
            ("{% raw %}{{ x }}{% endraw %}{# {{ y }} #}", "{{ x }}"),
            ("{{ 'abcdef'[1:5:2] }}{{ 4 is divisibleby(2) }}{{ range(3, 0, -1)|list }}", "bdTrue[3, 2, 1]"),
            ("{{ items[0] }}{{ items[1:] }}{{ user['name'] }}{{ (1, 2)|length }}", "a['b']Bo2"),
            ("{{ 'a' if n > 2 else 'b' }}{{ n in [1, 3] }}{{ 'd' in 'abc' }}", "aTrueFalse"),
            ("{{ range(3)|sum }}{{ items|sort(reverse=true)|first }}{{ '%s-%03d'|format(name, n) }}", "3bAda-003"),
            ("{% for i in range(5) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
            ("a\n  {%- if n -%}  b {%- endif %}\nc", "ab\nc"),
        ] {
            assert_eq!(run(text, &variables), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn render_failure_has_reason_and_place() {
        let check = |text: &str, expected: &str| {
            let message = run(text, &json!({"a": "x", "o": {}})).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains("__"), "{text}: {message}");
        };
        check("{{ b }}", "line 1, column 4: `b` is undefined");
        check("x\n{{ a }} {{ o.name }}", "line 2, column 12: `o.name` is undefined");
        check("{% for x in b %}{% endfor %}", "`b` is undefined");
        check("{{ a ~ b }}", "`b` is undefined");
        check("{{ a + 1 }}", "line 1, column 4: tried to use + operator on unsupported types string and number");
        check("{{ a * 3 }}", "`*` multiplies numbers, and this is a string");
        check("{{ 3 * a }}", "strings and lists cannot be repeated");
        check("{{ [1] * 3 }}", "strings and lists cannot be repeated");
        check("{{ a|nofilter }}", "filter nofilter is unknown");
        check("{{ nofunction() }}", "nofunction is unknown");
        check("{% if a %}", "unexpected end of input");
        check("{% unknown %}", "unknown statement unknown");
        check("{% set x = %}", "unexpected");
        check("{% for x in %}{% endfor %}", "unexpected");
        check("{{ debug() }}", "debug is unknown");
    }

    #[test]
    fn jinja_names_are_variables() {
        let check = |text: &str, expected: &[(&str, bool)]| {
            let names = names(text).expect(text);
            assert_eq!(names, expected.iter().copied().collect(), "{text}");
        };
        check("no", &[]);
        check("{{ a.b }}{% for c in d %}{{ c }}{{ loop.index }}{% endfor %}", &[("a", false), ("d", false)]);
        check("{{ a|default(b) }}{% set x = 1 %}{{ x ~ range(3)|sum }}", &[("a", true), ("b", false)]);
        check("{% macro m(p) %}{{ p }}{{ q }}{% endmacro %}{{ m(1) }}", &[("q", false)]);
        check("{% set x = x|default('n') %}{{ x }}", &[("x", true)]);
        check("{% set ns = namespace(a=b) %}{{ ns.a }}", &[("b", false)]);
        for (text, expected) in [
            ("a\n{{ b", "line 2, column 1"),
            ("{{ a|nofilter }}", "column 6: there is no filter `nofilter`"),
            ("{{ a is notest }}", "column 9: there is no test `notest`"),
            ("{% if a %}", "unexpected end of input"),
        ] {
            let error = names(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn every_template_operation_is_bounded() {
        let doubled = format!("{{% set s = 'xxxxxxxx' %}}{}{{{{ s|length }}}}", "{% set s = s ~ s %}".repeat(60));
        let nested = format!("{{% set s = [1] %}}{}{{{{ s == s }}}}", "{% set s = [s, s] %}".repeat(60));
        let captured =
            format!("{{% set x %}}{{% for i in range(9999) %}}{}{{% endfor %}}{{% endset %}}", "y".repeat(100_000));
        let raw_output = format!("{{% for i in range(9999) %}}{}{{% endfor %}}", "y".repeat(100_000));
        for text in [
            "{{ 'x' * 10 ** 8 }}",
            "{{ ('x',) * 10 ** 8 }}",
            "{% for i in range(10 ** 9) %}{% endfor %}",
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            doubled.as_str(),
            doubled.replace(" ~ ", " + ").as_str(),
            nested.as_str(),
            captured.as_str(),
            captured.replace("set x", "filter upper").replace("endset", "endfilter").as_str(),
            captured.replace("set x", "macro m()").replace("endset %}", "endmacro %}{{ m() }}").as_str(),
            raw_output.as_str(),
            "{% macro m(s) %}{{ m(s ~ s) }}{% endmacro %}{{ m('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') }}",
            "{% macro m(s) %}{{ m([s, s]) }}{% endmacro %}{{ m('x') }}",
            "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
            "{% set ns = namespace(s=[]) %}{% for i in range(9999) %}{% set ns.s = [ns.s] %}{% endfor %}",
            "{% set ns = namespace() %}{% set ns.ns = ns %}",
            "{% set ns = namespace() %}{% set ns.ns = [ns] %}",
            "{% set ns = namespace() %}{% set other = namespace(a=ns) %}",
            "{{ range(99999)|join('x' ~ range(9999)|join) }}",
            "{{ (range(9999)|join)|replace('1', range(99999)|join) }}",
            "{{ 'a\nb'|indent(10 ** 9) }}",
            "{{ 'a\nb'|indent(width=10 ** 9) }}",
            "{{ '%999999999d'|format(1) }}",
            "{{ '%*d'|format(999999999, 1) }}",
            "{{ [1]|batch(10 ** 9, 0)|list }}",
            "{{ [1]|slice(10 ** 9)|list }}",
            "{{ [['a']]|sum(start=[]) }}",
            "{{ 10 ** 10 ** 10 }}",
            "{{ range(9223372036854775807, 0, -1) }}",
            "{{ range(0, 1, -9223372036854775807 - 1) }}",
            "{{ 1 is divisibleby 0 }}",
            "{{ ''[::-1] }}",
            "{{ 'abc'[1:5:-1] }}",
            "{% for i in range(9999) %}{% set x = range(99999)|list %}{% endfor %}",
            "{% for i in range(99999) %}{{ range(99999)|map('string')|join|length }}{% endfor %}",
        ] {
            assert!(run(text, &json!({})).is_err(), "{}", &text[..text.len().min(100)]);
        }
    }

    #[test]
    fn deepest_templates_fit_a_small_stack() {
        let deep = [
            format!("{{{{ a{} }}}}", " ~ a".repeat(200)),
            format!("{{{{ a{} }}}}", " + a".repeat(200)),
            format!("{{{{ a{} }}}}", "|upper".repeat(200)),
            format!("{{{{ {}a }}}}", "not ".repeat(200)),
            format!("{{{{ {}1 }}}}", "-".repeat(200)),
            format!("{{{{ {}a{} }}}}", "(".repeat(32), ")".repeat(32)),
            format!("{{{{ {}a{} }}}}", "[".repeat(32), "]".repeat(32)),
            format!("{{{{ {}a }}}}", "a if a else ".repeat(100)),
            format!("{}a{}", "{% if a %}".repeat(50), "{% endif %}".repeat(50)),
            format!("{}a{}", "{% for a in a %}".repeat(50), "{% endfor %}".repeat(50)),
            format!("{{% if not a %}}{}{{% endif %}}", "{% elif not a %}".repeat(49)),
            "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(1) }}".to_owned(),
            format!(
                "{}{{% macro m(n) %}}{{{{ [n]|map('upper')|list ~ m(n ~ 1) }}}}{{% endmacro %}}{{{{ m('1') }}}}",
                ""
            ),
        ];
        let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(move || {
            for text in deep {
                let _ = run(&text, &json!({"a": "x"}));
                let _ = names(&text);
            }
        });
        worker.expect("a thread").join().expect("no overflow and no panic");
    }

    /// Expressions with every guarded operator, over values of every kind.
    fn expressions() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "a", "n", "l", "o", "u", "2", "-1.5", "0", "'x'", "''", "'a' 'b'", "[]", "(1, 2)", "{'k': n}", "none",
            "true",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
            let operator = prop::sample::select(vec![
                "+", "~", "*", "-", "/", "//", "%", "**", "==", "!=", "<", ">=", "in", "not in", "and", "or",
            ]);
            let behind = prop::sample::select(vec![
                "|upper",
                "|length",
                "|list",
                "|default(1)",
                "|join(',')",
                ".k",
                "[0]",
                "[n]",
                "['k']",
                "[1000]",
                " in l",
                "[1:]",
                "[:n:2]",
                " is defined",
                " is odd",
            ]);
            prop_oneof![
                (inner.clone(), operator, inner.clone()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
                (inner.clone(), behind).prop_map(|(a, behind)| format!("{a}{behind}")),
                inner.clone().prop_map(|a| format!("({a})")),
                inner.clone().prop_map(|a| format!("-{a}")),
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("{a} if {b} else {c}")),
                (inner.clone(), inner).prop_map(|(a, b)| format!("[{a}, {{'k': {b}}}]")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn guards_change_no_result(e in expressions(), shape in 0_usize..6) {
            let text = match shape {
                0 => format!("{{{{ {e} }}}}"),
                1 => format!("{{% set x = {e} %}}{{{{ x }}}}"),
                2 => format!("{{% for x in {e} -%}} {{{{ x }}}} {{%- else %}}none{{% endfor %}}"),
                3 => format!("{{% macro m(p, q={e}) -%}} {{{{ p }}}}{{{{ q }}}}{{# c #}} {{% endmacro %}}{{{{ m({e}) }}}}"),
                4 => format!("{{% set x %}} {{{{ {e} }}}} {{%- endset %}}{{% filter upper %}}{{{{ x }}}}{{% endfilter %}}"),
                _ => format!("{{% with x = {e}, y = {e} %}}{{{{ x }}}}{{{{ y }}}}{{% endwith %}}"),
            };
            let variables = json!({"a": "Hé", "n": 3, "l": ["x", "y"], "o": {"k": 1}});
            if let Ok(ours) = run(&text, &variables) {
                let mut bare = Environment::new();
                bare.set_undefined_behavior(UndefinedBehavior::Strict);
                match bare.render_str(&text, Value::from(minijinja::value::Serde(&variables))) {
                    // Large, small and non-finite numbers are printed as in Python.
                    Ok(_) if ["e+", "e-", "nan", "inf"].iter().any(|python| ours.contains(python)) => {}
                    Ok(theirs) => prop_assert_eq!(ours, theirs, "{}", text),
                    // The engine alone does not support `%` after a string.
                    Err(_) if text.contains("' % ") => {}
                    // The engine alone takes an operator after a test without arguments as its argument, or as a call.
                    Err(error) => prop_assert!(text.contains(" is ") && matches!(error.kind(), ErrorKind::SyntaxError | ErrorKind::TooManyArguments | ErrorKind::UnknownFunction), "{}", text),
                }
            }
        }
    }

    #[test]
    fn hostile_texts_end_soon() {
        for unit in
            ["{", "{%", "{{", "{#", "{% raw %}", "{% if a %}", "{{ a }}", "{% set a = 1 %}", "{{ '", "{{(", "{%-"]
        {
            let text = unit.repeat((1 << 20) / unit.len());
            let _ = run(&text, &json!({"a": 1}));
            let _ = names(&text);
        }
    }
}
