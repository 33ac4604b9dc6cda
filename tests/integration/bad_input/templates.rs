//! Templates that never end or want all the memory there is.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Target;

/// Longest answer to anything here, on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn endless_or_huge_template_is_stopped() {
    let mut target = Target::start();
    for (number, template) in [
        "{% for i in range(1000000000) %}{% endfor %}",
        "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x|length }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 'x' * 10 ** 18 }}",
        "{{ range(1000000000)|list|length }}",
        "{{ (range(100000)|list|string) * 100 }}",
        "{% for i in range(200000) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}",
        "{{ '%1000000000d'|format(7) }}",
        "{{ 'x'|center(1000000000) }}",
        "{{ 'aaaa'|replace('a', 'aaaaaaaaaaaaaaaaaaaa')|replace('a', 'aaaaaaaaaaaaaaaaaaaa')|replace('a', 'aaaaaaaaaaaaaaaaaaaa')|replace('a', 'aaaaaaaaaaaaaaaaaaaa')|replace('a', 'aaaaaaaaaaaaaaaaaaaa')|replace('a', 'aaaaaaaaaaaaaaaaaaaa') }}",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bomb-{number}");
        let request = json!({"content": {"syntax": "jinja", "text": template}, "message": "why", "labels": ["production"]});
        let began = Instant::now();
        let published = target.0.change("POST", &format!("/v1/prompts/{name}/versions"), &request);
        if published.status == 201 {
            let rendered = target.0.change("POST", &format!("/v1/render/{name}"), &json!({}));
            let detail = rendered.problem(422, "render_failed");
            assert!(detail.len() < 2_000, "{template}: {detail}");
        } else {
            let _detail = published.problem(422, "invalid_content");
        }
        assert!(began.elapsed() < SOON, "{template}: {:?}", began.elapsed());
        target.is_well();
    }
}

#[test]
fn too_deep_or_long_template_is_refused_on_publication() {
    let mut target = Target::start();
    for (what, template) in [
        ("blocks", format!("{}{}", "{% if x %}".repeat(5_000), "{% endif %}".repeat(5_000))),
        ("brackets", format!("{{{{ {}x{} }}}}", "(".repeat(20_000), ")".repeat(20_000))),
        ("operators", format!("{{{{ {}x }}}}", "not ".repeat(20_000))),
        ("tags", "{{ x }}".repeat(20_000)),
        ("filters", format!("{{{{ x{} }}}}", "|upper".repeat(20_000))),
    ] {
        let request = json!({"content": {"syntax": "jinja", "text": template}, "message": "why"});
        let published = target.0.change("POST", "/v1/prompts/deep/versions", &request);
        let detail = published.problem(422, "invalid_content");
        assert!(detail.contains("line 1, column"), "{what}: {detail}");
        target.is_well();
    }
    let request = json!({"content": {"syntax": "mustache", "text": "{{> a}} {{> b/../c}}"}, "message": "why"});
    let published = target.0.change("POST", "/v1/prompts/deep/versions", &request);
    assert!((400..500).contains(&published.status), "{}", published.text());
    target.is_well();
}

#[test]
fn values_are_bounded_and_never_templates() {
    let mut target = Target::start();
    let request =
        json!({"content": {"syntax": "jinja", "text": "{{ x }}{{ x }}"}, "message": "why", "labels": ["production"]});
    let _published = target.0.change("POST", "/v1/prompts/echo/versions", &request).ok();
    let render =
        |value: serde_json::Value| target.0.change("POST", "/v1/render/echo", &json!({"variables": {"x": value}}));
    assert_eq!(render(json!("{{ 7 * 7 }}{% raw %}")).ok()["text"], "{{ 7 * 7 }}{% raw %}{{ 7 * 7 }}{% raw %}");
    let _detail = render(json!("x".repeat(3 * 1024 * 1024))).problem(422, "render_failed");
    let many: serde_json::Map<String, serde_json::Value> = (0..5_000).map(|n| (format!("v{n}"), json!(n))).collect();
    let answer = target.0.change("POST", "/v1/render/echo", &json!({"variables": many, "strict": true}));
    let _detail = answer.problem(422, "invalid_variables");
    assert!(answer.body.len() < 100_000, "{} bytes", answer.body.len());
    target.is_well();
}
