//! Tests that Jinja texts that always fail are rejected, and others accepted.

use super::jinja::names;

#[test]
fn call_that_must_fail_is_refused_with_its_place() {
    let mut wrong = Vec::new();
    for (text, part) in [
        ("{{ '%r' % x }}", "line 1, column 9: `%` always fails here"),
        ("{{ '%q' % x }}", "`%` always fails"),
        ("{{ '%' % x }}", "`%` always fails"),
        ("{{ '%s %s' % (x,) }}", "`%` always fails"),
        ("{{ '%d' % 'a' }}", "`%` always fails"),
        ("{{ '%r'|format(x) }}", "`format` always fails"),
        ("{{ '{} {}'.format(x) }}", "`format` always fails"),
        ("{{ '{a}'.format(b=x) }}", "`format` always fails"),
        ("{{ x.strip(1, 2) }}", "`strip` always fails here: `strip` takes at most 1 arguments"),
        ("{{ x.split(foo=1) }}", "`split` always fails here: `split` has no argument `foo`"),
        ("{{ x.replace('a') }}", "`replace` always fails here: `replace` needs 2 arguments"),
        ("{{ x.get() }}", "`get` always fails"),
        ("{{ x.items(1) }}", "`items` always fails"),
        ("{{ 'abc'.index('z') }}", "`index` always fails"),
        ("{{ 5.0.strip() }}", "`strip` always fails"),
        ("{{ [1].strip() }}", "`strip` always fails"),
        ("a\n{{ x|upper(3) }}", "line 2, column 6: `upper` always fails here: too many arguments"),
        ("{{ x|replace('a') }}", "`replace` always fails"),
        ("{{ x|tojson(sort=1) }}", "`tojson` always fails"),
        ("{{ x|join('a', 'b', 'c') }}", "`join` always fails"),
        ("{{ x|default(1, 2, 3) }}", "`default` always fails"),
        ("{{ x|attr() }}", "`attr` always fails"),
        ("{{ x|map('nope') }}", "`map` always fails"),
        ("{{ x|select('nope') }}", "`select` always fails"),
        ("{{ [1, 2]|first(3) }}", "`first` always fails"),
        ("{{ 'a'|list|upper(1) }}", "`upper` always fails"),
        ("{% filter upper(1) %}a{% endfilter %}", "`upper` always fails"),
        ("{% if x is divisibleby %}{% endif %}", "`divisibleby` always fails"),
        ("{{ x is eq(1, 2) }}", "`eq` always fails"),
        ("{{ x is string(1) }}", "`string` always fails"),
        ("{{ range() }}", "`range` always fails"),
        ("{{ range('a') }}", "`range` always fails"),
        ("{{ namespace(1) }}", "`namespace` always fails"),
        ("{% macro m(a, b=1) %}{% endmacro %}{{ m(1, 2, 3) }}", "column 39: the macro `m` takes (a, b)"),
        ("{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "the macro `m` takes (a)"),
        ("{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}", "gets its argument `a` twice"),
        ("{% for i in x %}{{ loop(i) }}{% endfor %}", "recursive loops"),
        ("{{ 'a' * 3 }}", "`*` needs numbers"),
        ("{{ x - 'a' }}", "`-` needs numbers"),
        ("{{ 'a' + 3 }}", "use `~` to join both"),
        ("{{ 3 + 'a' }}", "use `~` to join both"),
    ] {
        let message = names(text).err().map_or_else(|| "it is taken".to_owned(), |error| error.to_string());
        if !message.contains(part) {
            wrong.push(format!("{text}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn call_that_can_succeed_is_accepted() {
    for text in [
        "{{ '%s' % x }}{{ '%d %s' % (x, y) }}{{ '%.2f%%' % x }}{{ '%(a)s %(b)d' % x }}{{ '%s %s' % x }}",
        "{{ '%(a)s' % {'a': x} }}{{ '%5d|%-5s|%x' % (1, x, y) }}{{ '100%%' % () }}",
        "{{ '%s of %s, %d, %d and %f' % (a, b, c, d, e) }}{{ '%s'|format(x) }}{{ '%s %d'|format(x, y) }}",
        "{{ '{} {:d} {:>10}'.format(x, y, z) }}{{ '{0.name} {1[key]}'.format(x, y) }}{{ '{a:.2f}'.format(a=x) }}",
        "{{ x.strip() }}{{ x.split(',', 1) }}{{ x.split(sep=y) }}{{ x.get('a') }}{{ x.get(y, none) }}",
        "{{ x.count(y) }}{{ x.index(y) }}{{ x.startswith(('a', 'b')) }}{{ ', '.join(x) }}{{ x.items()|list }}",
        "{{ x|upper }}{{ x|replace('a', y) }}{{ x|join(', ') }}{{ x|join(y, attribute='a') }}{{ x|tojson(indent=2) }}",
        "{{ x|map(attribute='a')|list }}{{ x|map('upper')|join }}{{ x|map(y)|list }}{{ x|map('default', y) }}",
        "{{ x|selectattr('a', 'eq', y)|list }}{{ x|select('divisibleby', y) }}{{ x|rejectattr('a') }}{{ x|sort(attribute='a') }}",
        "{{ x|groupby('a') }}{{ x|batch(3, '-') }}{{ x|round(2) }}{{ x|int(0) }}{{ x|default('a', true) }}{{ x|attr(y) }}",
        "{{ x|dictsort }}{{ x|unique }}{{ x|sum(attribute='a') }}{{ x|indent(2) }}{{ x|trim }}{{ x|first }}",
        "{{ x is defined }}{{ x is divisibleby 3 }}{{ x is divisibleby(y) }}{{ x is eq y and x is in [1] }}{{ x is none }}",
        "{{ range(3) }}{{ range(x, y) }}{{ dict(a=x) }}{% set n = namespace(a=1) %}{{ n.a }}",
        "{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro %}{{ m(1) }}{{ m(b=2, a=1) }}{{ m() }}{% set q = m %}{{ q(1, 2, 3) }}",
        "{% for i in x %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i) }}{% endfor %}{% set range = x %}",
        "{{ 'a' ~ 3 }}{{ '3'|int * 2 }}{{ 2 * '3'|int }}{{ 'a' + 3|string }}{{ 'a' + 'b' }}{{ x['a'] * 3 }}{{ -x }}",
        "{{ 'a' + 3 ~ x }}{{ 1 - x }}{{ {'a': 1}['a'] - 1 }}{{ x|length - 1 }}",
    ] {
        assert!(names(text).is_ok(), "{text}: {:?}", names(text).err().map(|error| error.to_string()));
    }
}

#[test]
fn many_calls_are_tried_soon() {
    let text: String = (0..9_000).map(|number| format!("{{{{x|map('upper',{number},y,z)|list}}}}")).collect();
    let _some_answer = names(&text);
    assert!(names(&"{{ '%s %s %s' % (x, y, z) }}".repeat(9_000)).is_ok());
}
