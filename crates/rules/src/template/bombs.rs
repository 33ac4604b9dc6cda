//! Tests of templates that would take too much time or memory: every operator, filter, test and function of the engine,
//! with large values.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::value::{Serde, Value};
use serde_json::json;

use super::jinja::run_within;
use crate::clock::{Cancellation, Clock, ManualClock};

/// Work limit of one test, in bytes: small, so that the tests are fast.
const WORK_BYTES: u64 = 2 * 1024 * 1024;
/// How often a bomb is repeated: unless each repetition costs at least a thousandth of its value, all of them fit into
/// the limit.
const TIMES: usize = 1_000;

/// Values of some 60,000 bytes each, in pairs that are equal and not the same.
fn values() -> Value {
    let numbers: Vec<usize> = (0..2_000).collect();
    let objects: Vec<_> = (0..400).map(|n| json!({"a": n % 7, "b": {"c": [n]}, "t": "x".repeat(50)})).collect();
    let map: serde_json::Map<_, _> = (0..500).map(|n| (format!("key-{n:040}"), json!(n))).collect();
    let texts: Vec<String> = (0..500).map(|n| format!("{n:0100}")).collect();
    let long = "a".repeat(60_000);
    let keyed = json!({ long.as_str(): 1 });
    let spread = format!("{}b", "c".repeat(20_000));
    Value::from(Serde(json!({
        "x": numbers, "x2": numbers, "o": objects, "o2": objects, "m": map, "m2": map, "t": texts, "t2": texts,
        "s": long, "s2": long, "keyed": keyed, "spread": spread, "deep": [[[[numbers]]]], "deep2": [[[[numbers]]]],
        "lines": "a b\n".repeat(15_000), "n": 3, "one": [1],
    })))
}

/// Operations that read or create a large value in one step. One that costs nothing runs to its end, and the test
/// fails.
const BOMBS: &[&str] = &[
    // Operators.
    "x == x2",
    "x != x2",
    "o == o2",
    "m == m2",
    "t == t2",
    "s == s2",
    "deep == deep2",
    "x < x2",
    "x <= x2",
    "o > o2",
    "m >= m2",
    "s < s2",
    "1 < 2 < x != x2",
    "not x == x2",
    "(x)==(x2)",
    "[x] == [x2]",
    "{'a': x} == {'a': x2}",
    "(x == x2 if x == x2 else 0)",
    "-1 in x",
    "'no' in t",
    "'b' in s",
    "s in t",
    "-1 not in x",
    "x in [x2]",
    "x2 in (x, x2)",
    "s in keyed",
    "s not in keyed",
    "x in s",
    "n in x|map('string')",
    "(s ~ 'x')[0]",
    "(x + x2)[0]",
    "s ~ n",
    "x[1:][0]",
    "s[1:3]",
    "s[-1]",
    "s[n * 10000]",
    "s[59999]",
    "(x[1:])[n]",
    "keyed[s]",
    "keyed[s ~ '']",
    "{s: 1}|length",
    "{n: 1, s: 1, s2: 2}|length",
    // Tests.
    "x is eq x2",
    "x is eq(x2)",
    "x is equalto x2",
    "x is not ne x2",
    "x is ne(x2)",
    "o is lt(o2)",
    "o is lessthan(o2)",
    "o is le(o2)",
    "m is gt(m2)",
    "m is greaterthan(m2)",
    "m is ge(m2)",
    "-1 is in(x)",
    "-1 is not in x",
    "s is in keyed",
    "s is startingwith(s2)",
    "x is startingwith('[')",
    "s is endingwith(s2)",
    "s is lower",
    "s is upper",
    "s is sameas s2",
    "[1]|select('in', x)|list",
    "[x]|select('eq', x2)|list",
    "[x]|reject('==', x2)|list",
    "[{'a': x}]|selectattr('a', '>=', x2)|list",
    "[{'a': x}]|rejectattr('a', 'lt', x2)|list",
    "x|select('eq', x2)|list",
    // Filters.
    "x|sort|first",
    "o|sort(attribute='a')|first",
    "o|sort(attribute='a,t,a,t,a,t,a,t')|first",
    "t|sort(reverse=true)|first",
    "t|unique|first",
    "o|unique(attribute='t')|first",
    "o|groupby('a')|first|length",
    "m|dictsort|first",
    "m|dictsort(by='value')|first",
    "x|min",
    "t|max",
    "o|max(attribute='t')",
    "o|min(attribute='b.c')",
    "x|sum",
    "o|sum(attribute='a')",
    "o|map(attribute='t')|first",
    "o|map(attribute='q', default=s)|first|first",
    "[s]|map('length')|first",
    "[x]|map('list')|first|first",
    "[s]|map('upper')|first|first",
    "x|list|first",
    "x|reverse|first",
    "x|join|first",
    "o|join(',', attribute='t')|first",
    "x|batch(10)|first|first",
    "x|slice(10)|first|first",
    "[1]|batch(60000, 0)|first|first",
    "[1]|slice(60000)|first|first",
    "m|items|first",
    "x|zip(x2)|first",
    "x|chain(x2)|first",
    "m|chain(m2)|length",
    "x|tojson|first",
    "o|tojson(indent=2)|first",
    "x|string|first",
    "s|length",
    "s|count",
    "s|upper|first",
    "s|lower|first",
    "s|title|first",
    "s|capitalize|first",
    "s|trim|first",
    "spread|trim(spread)",
    "s|replace('a', 'b')|first",
    "s|escape|first",
    "s|e|first",
    "s|safe|first",
    "lines|lines|first",
    "lines|split|first",
    "lines|split('')|first",
    "lines|indent|first",
    "'%(a)s'|format({'a': s})|first",
    "('%(a)s' ~ '%(a)s')|format(a=s)|first",
    "'%s'|format(s)|first",
    "s|int(default=1)",
    "s|float(default=1)",
    "s|last",
    "x[1:]|last",
    "keyed|attr(s)",
    "1.5|round(1000)",
    // Functions, methods and statements.
    "loop.changed(x)",
    "loop.changed(1, s)",
    "dict(m)|length",
    "dict(m, a=1)|length",
    "namespace(a=x).a|first",
    "m(x)",
    "range(n * 20000)|list|first",
];

fn looped(bomb: &str) -> String {
    // A bomb can call a macro with this name, which is not one of the values.
    let head = if bomb == "m(x)" { "{% macro m(a) %}{% endmacro %}" } else { "" };
    format!("{head}{{% for i in range({TIMES}) %}}{{% if {bomb} %}}{{% endif %}}{{% endfor %}}")
}

#[test]
fn expensive_template_steps_spend_work() {
    let values = values();
    let free: Vec<String> = BOMBS
        .iter()
        .filter_map(|bomb| {
            let (result, _) = run_within(&looped(bomb), &values, WORK_BYTES, &Cancellation::never());
            let spent = result.as_ref().is_err_and(|error| error.contains("bytes of work"));
            (!spent).then(|| format!("{bomb}: {result:?}"))
        })
        .collect();
    assert!(free.is_empty(), "{} of {}:\n{}", free.len(), BOMBS.len(), free.join("\n"));
}

#[test]
fn steps_scale_with_the_work_budget() {
    // The cost of one step does not depend on how much is left, so that work measures time.
    let values = values();
    for bomb in ["x == x2", "-1 in x", "s is lower", "o|sort(attribute='a')|first", "loop.changed(x)", "keyed[s]"] {
        let once = format!("{{% for i in range(1) %}}{{% if {bomb} %}}{{% endif %}}{{% endfor %}}");
        let twice = once.replace("range(1)", "range(2)");
        let cost = |text: &str| {
            let (result, left) = run_within(text, &values, WORK_BYTES, &Cancellation::never());
            assert!(result.is_ok(), "{text}: {result:?}");
            WORK_BYTES - left
        };
        let (once, twice) = (cost(&once), cost(&twice));
        assert!(once >= 50_000, "{bomb} costs {once}");
        assert!(twice >= 2 * once - once / 10 && twice <= 2 * once + once / 10, "{bomb}: {once}, then {twice}");
    }
}

#[test]
fn deeply_nested_lists_end_soon_on_a_small_stack() {
    let grow = |times: usize, start: &str, step: &str| {
        format!(
            "{{% set ns = namespace(x={start}) %}}{{% for i in range({times}) %}}{{% set ns.x = {step} %}}{{% endfor %}}\
             {{{{ ns.x|list|length }}}}"
        )
    };
    let piles = [
        grow(60, "[]", "ns.x + ns.x"),
        grow(60, "[]", "(ns.x + ns.x)[0:]"),
        grow(60, "[]", "ns.x|chain(ns.x)"),
        grow(60, "{}", "ns.x|chain(ns.x)"),
        grow(60, "[]", "ns.x[0:] + ns.x[0:]"),
        grow(10_000, "[1]", "ns.x[0:]"),
        grow(10_000, "[1]", "ns.x|reverse"),
        grow(10_000, "[1]", "ns.x|chain([])"),
        grow(10_000, "{'a': 1}", "ns.x|chain({'a': 2})"),
        grow(10_000, "{'a': 1}", "dict(ns.x, a=2)"),
        grow(10_000, "[1]", "ns.x|zip([1])"),
        grow(10_000, "{'a': 1}", "dict(ns.x|items|list|first|zip(ns.x)|list|length|string|zip([1]))"),
        grow(10_000, "[1]", "ns.x + []"),
        grow(10_000, "[{'a': 1}]", "ns.x|groupby('a')|map(attribute='list')|first"),
        grow(10_000, "[1]", "ns.x|map('abs')"),
    ];
    let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(move || {
        for pile in piles {
            let _ = run_within(&pile, &Value::from(()), 64 * 1024 * 1024, &Cancellation::never());
        }
    });
    worker.expect("a thread").join().expect("no overflow and no panic");
}

#[test]
fn ordinary_work_on_large_values_is_cheap() {
    let values = values();
    for text in [
        "{% for i in range(1000) %}{% if i < x|length and t|length and m|length %}{% endif %}{% endfor %}",
        "{% for i in range(1000) %}{% if 'key-1' in m or n in [1, 2, 3] %}{% endif %}{% endfor %}",
        "{% for i in range(1000) %}{{ x[i] }}{{ o[n].a }}{{ m['key'] is defined }}{{ x|first }}{{ t|last|length }}{% endfor %}",
        "{% for i in x %}{% if i == n or loop.index0 in [n] %}{{ i }}{% endif %}{% endfor %}",
        "{% for k, v in m|items %}{{ k }}={{ v }}{% endfor %}",
        "{% for i in range(1000) %}{{ x|default([])|length }}{{ i|round }}{{ loop.changed(i) }}{% endfor %}",
        "{{ o|sort(attribute='a')|map(attribute='t')|join|length }}{{ t|unique|list|length }}{{ m|tojson(indent=2)|length }}",
    ] {
        let (result, left) = run_within(text, &values, 64 * 1024 * 1024, &Cancellation::never());
        assert!(result.is_ok(), "{text}: {result:?}");
        assert!(left > 48 * 1024 * 1024, "{text} leaves {left}");
    }
}

#[test]
fn large_input_leaves_fewer_steps() {
    let loops = "{% for i in range(20000) %}{% if i %}{% endif %}{% endfor %}";
    let run = |text: &str| run_within(text, &Value::from(()), WORK_BYTES, &Cancellation::never()).0;
    assert_eq!(run(loops), Ok(String::new()));
    let error = run(&format!("{loops}{{# {} #}}", "x".repeat(1 << 22))).expect_err("too many steps");
    assert!(error.contains("too many steps"), "{error}");
}

/// A clock that advances a millisecond with each reading.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ms(&self) -> i64 {
        0
    }

    fn monotonic_ms(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[test]
fn rendering_stops_at_its_deadline_or_when_cancelled() {
    let work = "{% for i in range(1000) %}{% if x == x2 %}{% endif %}{% endfor %}";
    let plenty = 1 << 40;
    let stop = Cancellation::after(Arc::new(Ticking::default()), 50);
    let (result, left) = run_within(work, &values(), plenty, &stop);
    assert_eq!(result, Err("stopped".to_owned()));
    assert!(plenty - left < 100 * 64 * 1024, "{}", plenty - left);
    let stop = Cancellation::after(Arc::new(ManualClock::default()), 50);
    assert_eq!(run_within("{{ x == x2 }}", &values(), plenty, &stop).0, Ok("True".to_owned()));
    stop.abandon();
    assert_eq!(run_within("{{ x == x2 }}", &values(), plenty, &stop).0, Err("stopped".to_owned()));
}
