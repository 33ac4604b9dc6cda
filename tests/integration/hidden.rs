//! Hidden prompts are never revealed: every operation, called by readers of a single namespace.
//!
//! No answer names a prompt that the caller cannot read, unless the request did; then the answer and its audit entry
//! are the same as for a prompt that does not exist.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};

use crate::support::answer::{Answer, head};
use crate::support::node::{Launch, Node, segment};
use crate::ui::Browser;

/// A prompt that exists and is hidden, and one that does not exist.
const TYPED: [&str; 2] = ["secret/plan", "secret/none"];
/// Change requests about hidden prompts, and one that is not there.
const REQUESTS: [&str; 3] = ["1", "3", "99"];
/// A system text that belongs to no prompt, and is there for readers of all.
const OBSERVED: &str = "Go deeper into what the customer says.";
/// Parts of names that must not occur in any answer.
const NEVER: [&str; 5] = ["deeper", "aaa-first", "merger", "zzz-last", "withdrawn-name"];

/// What is asked of one operation: a path with query, and a body. `{N}` is a name, `{S}` a name as one segment, `{R}` the
/// number of a change request, `{O}` the ID of an observed prompt.
type Ask = (&'static str, &'static str);

/// Every operation of the OpenAPI document.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &[Ask])] = &[
    ("GET",    "/v1/resolve/{reference}", &[("/v1/resolve/{N}", ""), ("/v1/resolve/{N}@1", ""), ("/v1/resolve/{N}@nolabel?at=2020-01-01T00:00:00Z", ""), ("/v1/resolve/support/agent@9", ""), ("/v1/resolve/sup", "")]),
    ("GET",    "/v1/resolve", &[
        ("/v1/resolve", ""), ("/v1/resolve?pattern={N}", ""), ("/v1/resolve?pattern=secret/**&label=latest", ""), ("/v1/resolve?pattern=s*/**&limit=1", ""),
        ("/v1/resolve?limit=1&label=latest", ""), ("/v1/resolve?cursor=1.1:{N}", ""), ("/v1/resolve?cursor=9.1:{N}", ""), ("/v1/resolve?at=2020-01-01T00:00:00Z", ""),
    ]),
    ("POST",   "/v1/resolve", &[("/v1/resolve", r#"{"references":["{N}","support/agent","{N}@9"]}"#)]),
    ("POST",   "/v1/render/{reference}", &[("/v1/render/{N}", r#"{"variables":{}}"#), ("/v1/render/support/agent", r#"{"variables":{"x":1}}"#)]),
    ("GET",    "/v1/events", &[("/v1/events?prefix=secret/&x=1", "")]),
    ("GET",    "/v1/prompts", &[
        ("/v1/prompts", ""), ("/v1/prompts?limit=1", ""), ("/v1/prompts?limit=2&removed=true", ""), ("/v1/prompts?removed=true", ""),
        ("/v1/prompts?prefix=secret/", ""), ("/v1/prompts?prefix=secret/&removed=true&limit=1", ""), ("/v1/prompts?prefix=s&limit=1", ""),
        ("/v1/prompts?prefix={N}", ""), ("/v1/prompts?cursor={N}", ""), ("/v1/prompts?cursor={N}&limit=1", ""), ("/v1/prompts?cursor=a@b", ""),
    ]),
    ("GET",    "/v1/prompts/{name}", &[("/v1/prompts/{S}", ""), ("/v1/prompts/support%2Fpart", ""), ("/v1/prompts/support%2Fagent", "")]),
    ("DELETE", "/v1/prompts/{name}", &[("/v1/prompts/{S}", r#"{"message":"m"}"#), ("/v1/prompts/support%2Fpart", r#"{"message":"m"}"#)]),
    ("GET",    "/v1/prompts/{name}/versions", &[("/v1/prompts/{S}/versions", ""), ("/v1/prompts/{S}/versions?limit=1", ""), ("/v1/prompts/support%2Fagent/versions?limit=1", "")]),
    ("POST",   "/v1/prompts/{name}/versions", &[
        ("/v1/prompts/{S}/versions", r#"{"content":{"syntax":"plain","text":"x"},"message":"m"}"#),
        ("/v1/prompts/support%2Fpart/versions", r#"{"content":{"syntax":"mustache","text":"another part"},"message":"m"}"#),
        ("/v1/prompts/support%2Fagent/versions", r#"{"content":{"syntax":"mustache","text":"{{> {N}@1}}"},"message":"m"}"#),
        ("/v1/prompts/support%2Fagent/versions", r#"{"content":{"syntax":"mustache","text":"{{> {N}@latest}}"},"message":"m"}"#),
    ]),
    ("GET",    "/v1/prompts/{name}/versions/{version}", &[("/v1/prompts/{S}/versions/1", ""), ("/v1/prompts/{S}/versions/9", ""), ("/v1/prompts/support%2Fagent/versions/9", "")]),
    ("POST",   "/v1/prompts/{name}/versions/{version}/retirement", &[("/v1/prompts/{S}/versions/1/retirement", r#"{"message":"m"}"#), ("/v1/prompts/{S}/versions/9/retirement", r#"{"message":"m"}"#)]),
    ("DELETE", "/v1/prompts/{name}/versions/{version}/retirement", &[("/v1/prompts/{S}/versions/1/retirement", r#"{"message":"m"}"#)]),
    ("GET",    "/v1/prompts/{name}/about", &[("/v1/prompts/{S}/about", "")]),
    ("PUT",    "/v1/prompts/{name}/about", &[("/v1/prompts/{S}/about", r#"{"owner":"me"}"#)]),
    ("GET",    "/v1/prompts/{name}/diff", &[("/v1/prompts/{S}/diff?from=1&to=2", ""), ("/v1/prompts/{S}/diff?from=1&to=9", "")]),
    ("GET",    "/v1/prompts/{name}/labels", &[("/v1/prompts/{S}/labels", ""), ("/v1/prompts/support%2Fagent/labels", "")]),
    ("GET",    "/v1/prompts/{name}/labels/{label}", &[("/v1/prompts/{S}/labels/production", ""), ("/v1/prompts/{S}/labels/nolabel", "")]),
    ("DELETE", "/v1/prompts/{name}/labels/{label}", &[("/v1/prompts/{S}/labels/production", r#"{"message":"m"}"#), ("/v1/prompts/{S}/labels/nolabel", r#"{"message":"m"}"#)]),
    ("POST",   "/v1/prompts/{name}/labels/{label}/rollback", &[("/v1/prompts/{S}/labels/production/rollback", r#"{"message":"m"}"#), ("/v1/prompts/{S}/labels/production/rollback", r#"{"message":"m","to":9}"#)]),
    ("POST",   "/v1/deployments", &[
        ("/v1/deployments", r#"{"message":"m","moves":[{"name":"{N}","label":"production","serving":{"version":1}}]}"#),
        ("/v1/deployments", r#"{"message":"m","moves":[{"name":"{N}","label":"production","serving":{"version":9},"expected_deployment":1}]}"#),
        ("/v1/deployments", r#"{"message":"m","moves":[{"name":"support/agent","label":"production","serving":{"version":1}},{"name":"{N}","label":"production","serving":{"version":1}}]}"#),
    ]),
    ("GET",    "/v1/promotions", &[
        ("/v1/promotions?pattern={N}&from=production&to=staging", ""), ("/v1/promotions?pattern=**&from=latest&to=production", ""),
        ("/v1/promotions?pattern=s*/**&from=production&to=nolabel&message=m", ""),
    ]),
    ("POST",   "/v1/promotions", &[
        ("/v1/promotions", r#"{"pattern":"{N}","from":"latest","to":"staging","message":"m"}"#),
        ("/v1/promotions", r#"{"pattern":"**","from":"production","to":"trial","message":"m","expected":"x"}"#),
        ("/v1/promotions", r#"{"pattern":"secret/**","from":"latest","to":"staging","message":"m"}"#),
    ]),
    ("POST",   "/v1/import", &[("/v1/import", r#"{"label":"staging","changes":[{"id":"i-{N}","at":"2026-01-01T00:00:00Z","author":"a","message":"m","name":"{N}","text":"x"},{"id":"j-{N}","at":"2026-01-01T00:00:00Z","author":"a","message":"m","name":"{N}"}]}"#)]),
    ("GET",    "/v1/prompts/{name}/drafts", &[("/v1/prompts/{S}/drafts", ""), ("/v1/prompts/support%2Fagent/drafts", "")]),
    ("GET",    "/v1/prompts/{name}/drafts/{draft}", &[("/v1/prompts/{S}/drafts/d", ""), ("/v1/prompts/support%2Fagent/drafts/none", "")]),
    ("PUT",    "/v1/prompts/{name}/drafts/{draft}", &[("/v1/prompts/{S}/drafts/d", r#"{"content":{"syntax":"plain","text":"x"}}"#), ("/v1/prompts/{S}/drafts/d", r#"{"content":{"syntax":"plain","text":"x"},"expected_revision":9}"#)]),
    ("DELETE", "/v1/prompts/{name}/drafts/{draft}", &[("/v1/prompts/{S}/drafts/d", "")]),
    ("GET",    "/v1/prompts/{name}/drafts/{draft}/saves", &[("/v1/prompts/{S}/drafts/d/saves", "")]),
    ("GET",    "/v1/prompts/{name}/drafts/{draft}/saves/{revision}", &[("/v1/prompts/{S}/drafts/d/saves/1", ""), ("/v1/prompts/{S}/drafts/d/saves/9", "")]),
    ("GET",    "/v1/prompts/{name}/drafts/{draft}/merge", &[("/v1/prompts/{S}/drafts/d/merge", "")]),
    ("POST",   "/v1/prompts/{name}/drafts/{draft}/publication", &[("/v1/prompts/{S}/drafts/d/publication", r#"{"message":"m"}"#)]),
    ("GET",    "/v1/requests", &[("/v1/requests", ""), ("/v1/requests?limit=1", ""), ("/v1/requests?state=open&limit=1", ""), ("/v1/requests?cursor=9", "")]),
    ("POST",   "/v1/requests", &[
        ("/v1/requests", r#"{"message":"m","moves":[{"name":"{N}","label":"production","serving":{"version":1}}]}"#),
        ("/v1/requests", r#"{"message":"m","publish":{"name":"{N}","content":{"syntax":"plain","text":"x"},"labels":["production"]}}"#),
        ("/v1/requests", r#"{"message":"m","moves":[{"name":"support/agent","label":"staging","serving":{"version":1}},{"name":"{N}","label":"production","serving":{"version":9}}]}"#),
    ]),
    ("GET",    "/v1/requests/{id}", &[("/v1/requests/{R}", ""), ("/v1/requests/2", "")]),
    ("POST",   "/v1/requests/{id}/amendments", &[("/v1/requests/{R}/amendments", r#"{"message":"m","moves":[{"name":"support/agent","label":"production","serving":{"version":1}}]}"#)]),
    ("POST",   "/v1/requests/{id}/reviews", &[
        ("/v1/requests/{R}/reviews", r#"{"kind":"comment","message":"m"}"#), ("/v1/requests/{R}/reviews", r#"{"kind":"approve","message":"m"}"#),
        ("/v1/requests/{R}/reviews", r#"{"kind":"reject","message":"m"}"#), ("/v1/requests/{R}/reviews", r#"{"kind":"withdraw","message":"m"}"#),
        ("/v1/requests/2/reviews", r#"{"kind":"comment","message":"m"}"#),
    ]),
    ("POST",   "/v1/requests/{id}/application", &[("/v1/requests/{R}/application", r"{}"), ("/v1/requests/{R}/application", r#"{"message":"m","break_glass":"now"}"#)]),
    ("POST",   "/v1/classify", &[("/v1/classify", r#"{"content":{"syntax":"mustache","text":"{{> {N}@1}}"}}"#)]),
    ("GET",    "/v1/deployments", &[
        ("/v1/deployments", ""), ("/v1/deployments?limit=1", ""), ("/v1/deployments?limit=1&cursor=9", ""),
        ("/v1/deployments?name={N}", ""), ("/v1/deployments?name={N}&label=production&limit=1", ""), ("/v1/deployments?label=production", ""),
    ]),
    ("GET",    "/v1/contents/{content_id}", &[("/v1/contents/b3:0000000000000000000000000000000000000000000000000000000000000000", "")]),
    ("GET",    "/v1/audit", &[("/v1/audit", "")]),
    ("GET",    "/v1/report", &[("/v1/report", ""), ("/v1/report?prompts={N}", "")]),
    ("GET",    "/v1/audit/verify", &[("/v1/audit/verify", "")]),
    ("GET",    "/v1/prompts/{name}/versions/{version}/findings", &[("/v1/prompts/{S}/versions/1/findings", ""), ("/v1/prompts/{S}/versions/9/findings", "")]),
    ("GET",    "/v1/policies", &[("/v1/policies", "")]),
    ("PUT",    "/v1/policies/{name}", &[("/v1/policies/p", r#"{"name":"p","prompts":"{N}","labels":"*"}"#), ("/v1/policies/secret-policy", r#"{"name":"secret-policy","labels":"*"}"#)]),
    ("DELETE", "/v1/policies/{name}", &[("/v1/policies/secret-policy", "")]),
    ("GET",    "/v1/rules", &[("/v1/rules", "")]),
    ("GET",    "/v1/rules/{name}", &[("/v1/rules/none", "")]),
    ("PUT",    "/v1/rules/{name}", &[("/v1/rules/r", r#"{"toml":""}"#)]),
    ("DELETE", "/v1/rules/{name}", &[("/v1/rules/r", "")]),
    ("POST",   "/v1/archive", &[("/v1/archive", r#"{"prompts":"{N}","unused_days":365,"dry_run":true}"#), ("/v1/archive", r#"{"prompts":"**","unused_days":365,"dry_run":true}"#)]),
    ("GET",    "/v1/status", &[("/v1/status", "")]),
    ("GET",    "/v1/whoami", &[("/v1/whoami", "")]),
    ("GET",    "/v1/can", &[
        ("/v1/can?permission=read&prompt={N}", ""), ("/v1/can?permission=deploy&prompt={N}&label=production", ""),
        ("/v1/can?permission=deploy&prompt={N}&label=production&version=1", ""), ("/v1/can?permission=deploy&prompt={N}&label=production&version=9", ""),
        ("/v1/can?permission=read&prompt={N}&who=admin", ""), ("/v1/can?permission=deploy&prompt=support/agent&label=production&version=1", ""),
    ]),
    ("GET",    "/v1/principals", &[("/v1/principals", "")]),
    ("POST",   "/v1/principals", &[("/v1/principals", r#"{"name":"x","kind":"person","grants":[{"role":"reader","prompts":"{N}"}]}"#)]),
    ("PUT",    "/v1/principals/{name}/grants", &[("/v1/principals/deep-one/grants", r#"{"grants":[]}"#)]),
    ("POST",   "/v1/principals/{name}/suspension", &[("/v1/principals/deep-one/suspension", "")]),
    ("DELETE", "/v1/principals/{name}/suspension", &[("/v1/principals/deep-one/suspension", "")]),
    ("POST",   "/v1/principals/{name}/sign-in-link", &[("/v1/principals/deep-one/sign-in-link", r"{}")]),
    ("GET",    "/v1/roles", &[("/v1/roles", "")]),
    ("PUT",    "/v1/roles/{name}", &[("/v1/roles/r", r#"{"permissions":["read"]}"#)]),
    ("DELETE", "/v1/roles/{name}", &[("/v1/roles/keeper", "")]),
    ("GET",    "/v1/tokens", &[("/v1/tokens", "")]),
    ("POST",   "/v1/tokens", &[("/v1/tokens", r#"{"name":"t","role":"reader","prompts":"{N}"}"#)]),
    ("DELETE", "/v1/tokens/{name}", &[("/v1/tokens/deep-one", "")]),
    ("POST",   "/v1/tokens/{name}/rotation", &[("/v1/tokens/deep-one/rotation", r"{}")]),
    ("GET",    "/v1/webhooks", &[("/v1/webhooks", "")]),
    ("PUT",    "/v1/webhooks/{name}", &[("/v1/webhooks/w", r#"{"url":"https://example.com/w","prompts":"{N}"}"#)]),
    ("DELETE", "/v1/webhooks/{name}", &[("/v1/webhooks/w", "")]),
    ("POST",   "/v1/webhooks/{name}/rotation", &[("/v1/webhooks/w/rotation", r"{}")]),
    ("POST",   "/v1/webhooks/{name}/test", &[("/v1/webhooks/w/test", "")]),
    ("POST",   "/v1/webhooks/{name}/suspension", &[("/v1/webhooks/w/suspension", r#"{"message":"m"}"#)]),
    ("DELETE", "/v1/webhooks/{name}/suspension", &[("/v1/webhooks/w/suspension", "")]),
    ("GET",    "/v1/webhooks/{name}/deliveries", &[("/v1/webhooks/w/deliveries", "")]),
    ("POST",   "/v1/webhooks/{name}/deliveries/{seq}/redelivery", &[("/v1/webhooks/w/deliveries/3/redelivery", "")]),
    ("GET",    "/v1/backup", &[("/v1/backup", "")]),
    ("POST",   "/v1/bundle", &[("/v1/bundle", r"{}")]),
    ("GET",    "/healthz", &[("/healthz", "")]),
    ("GET",    "/readyz", &[("/readyz", ""), ("/readyz?max_age=x", "")]),
    ("GET",    "/metrics", &[("/metrics", "")]),
    ("GET",    "/openapi.json", &[("/openapi.json", "")]),
    ("GET",    "/docs", &[("/docs", "")]),
    ("GET",    "/docs/style.css", &[("/docs/style.css", "")]),
    ("GET",    "/", &[("/", "")]),
    ("GET",    "/replication/v1/root/{n}", &[("/replication/v1/root/1", "")]),
    ("GET",    "/replication/v1/epoch/{e}", &[("/replication/v1/epoch/1", "")]),
    ("GET",    "/replication/v1/view/{view}/checkpoint", &[("/replication/v1/view/all/checkpoint", "")]),
    ("POST",   "/replication/v1/view/{view}/checkpoint", &[("/replication/v1/view/all/checkpoint", "a note")]),
    ("GET",    "/replication/v1/view/{view}/next/{position}", &[("/replication/v1/view/all/next/0.0", "")]),
    ("POST",   "/v1/responses", &[("/v1/responses", r#"{"responses":[{"prompt":"{N}"},{"stamp":"{N}@1"}]}"#)]),
    ("GET",    "/v1/stats", &[("/v1/stats", ""), ("/v1/stats?since=30d&limit=1", "")]),
    ("GET",    "/v1/prompts/{name}/stats", &[("/v1/prompts/{S}/stats", ""), ("/v1/prompts/{S}/stats?by=model&since=1h", "")]),
    ("GET",    "/v1/observed", &[("/v1/observed", ""), ("/v1/observed?limit=1", "")]),
    ("GET",    "/v1/observed/{id}", &[("/v1/observed/{O}", ""), ("/v1/observed/x", "")]),
    ("POST",   "/v1/observed/{id}/adopt", &[("/v1/observed/{O}/adopt", r#"{"name":"support/taken"}"#)]),
    ("GET",    "/v1/alerts", &[("/v1/alerts", "")]),
    ("PUT",    "/v1/alerts/{name}", &[("/v1/alerts/a", r#"{"metric":"spend","threshold":1,"prompts":"{N}","per_s":3600}"#)]),
    ("DELETE", "/v1/alerts/{name}", &[("/v1/alerts/a", "")]),
    ("GET",    "/v1/prices", &[("/v1/prices?model=gpt-5-nano", "")]),
    ("GET",    "/v1/prices/{table}", &[("/v1/prices/overrides", "")]),
    ("PUT",    "/v1/prices/{table}", &[("/v1/prices/overrides", r#"{"schema":1,"updated":"2026-11-20","currency":"USD","unit":"pico_usd_per_token","models":[]}"#)]),
    ("DELETE", "/v1/prices/{table}", &[("/v1/prices/overrides", "")]),
    ("POST",   "/v1/prices/recost", &[("/v1/prices/recost", r#"{"prompt":"{N}"}"#), ("/v1/prices/recost", r#"{"prompt":"{N}","dry_run":true}"#)]),
    ("GET",    "/v1/responses/{id}", &[("/v1/responses/r-{S}", ""), ("/v1/responses/r-visible", ""), ("/v1/responses/0123456789abcdef0123456789abcdef", "")]),
    ("GET",    "/v1/sessions/{id}", &[("/v1/sessions/s-{S}", ""), ("/v1/sessions/s-mixed", "")]),
    ("POST",   "/v1/traces", &[("/v1/traces", r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0123456789abcdef0123456789abcdef","spanId":"0123456789abcdef","name":"chat","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.prompt.name","value":{"stringValue":"{N}"}}]}]}]}]}"#)]),
    ("POST",   "/v1/logs", &[("/v1/logs", r#"{"resourceLogs":[]}"#)]),
    ("POST",   "/v1/metrics", &[("/v1/metrics", r#"{"resourceMetrics":[]}"#)]),
    ("POST",   "/v1/scores", &[("/v1/scores", r#"{"scores":[{"stamp":"{N}@1","name":"quality","value":1}]}"#)]),
    ("GET",    "/v1/telemetry/export", &[("/v1/telemetry/export", "")]),
    ("PUT",    "/v1/telemetry/keys/{node}", &[("/v1/telemetry/keys/000102030405060708090a0b0c0d0e0f", r#"{"key":"6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="}"#)]),
    ("GET",    "/v1/telemetry/spools/{node}", &[("/v1/telemetry/spools/000102030405060708090a0b0c0d0e0f", "")]),
    ("POST",   "/v1/telemetry/batches", &[("/v1/telemetry/batches?spool=000102030405060708090a0b0c0d0e0f.0123456789abcdef&number=1&replica=plant-7&signature=00", "x")]),
    ("DELETE", "/v1/telemetry/replicas/{replica}", &[("/v1/telemetry/replicas/plant-7", "")]),
    ("POST",   "/v1/telemetry/erasures", &[("/v1/telemetry/erasures", r#"{"user":"u"}"#)]),
    ("POST",   "/replication/v1/telemetry", &[("/replication/v1/telemetry?spool=000102030405060708090a0b0c0d0e0f.0123456789abcdef&first=1&number=1", "x")]),
    ("GET",    "/v1/suites", &[("/v1/suites", "")]),
    ("GET",    "/v1/suites/{name}", &[("/v1/suites/hush", ""), ("/v1/suites/hush?version=1", "")]),
    ("PUT",    "/v1/suites/{name}", &[("/v1/suites/hush", r#"{"suite":{"scorers":[{"type":"is-json"}],"cases":[{"name":"a"}]},"message":"m"}"#)]),
    ("DELETE", "/v1/suites/{name}", &[("/v1/suites/hush", "")]),
    ("GET",    "/v1/suites/{name}/versions", &[("/v1/suites/hush/versions", "")]),
    ("GET",    "/v1/runs", &[("/v1/runs", ""), ("/v1/runs?prompt={N}", ""), ("/v1/runs?suite=hush&limit=1", "")]),
    ("POST",   "/v1/runs", &[("/v1/runs", r#"{"prompt":"{N}","suite":"hush"}"#), ("/v1/runs", r#"{"prompt":"support/agent","suite":"hush","against":"@nolabel"}"#)]),
    ("POST",   "/v1/runs/import", &[("/v1/runs/import", r#"{"prompt":"{N}","suite":"hush","tool":"t","results":[]}"#)]),
    ("GET",    "/v1/runs/{id}", &[("/v1/runs/{R}", "")]),
    ("GET",    "/v1/runs/{id}/results", &[("/v1/runs/{R}/results", "")]),
    ("PUT",    "/v1/runs/{id}/results/{place}/label", &[("/v1/runs/{R}/results/0/label", r#"{"passed":true}"#)]),
    ("GET",    "/v1/suites/{name}/calibration", &[("/v1/suites/hush/calibration", "")]),
    ("POST",   "/v1/runs/{id}/cancellation", &[("/v1/runs/{R}/cancellation", "")]),
    ("GET",    "/v1/providers", &[("/v1/providers", "")]),
    ("GET",    "/v1/prompts/{name}/versions/{version}/gates", &[("/v1/prompts/{S}/versions/1/gates", ""), ("/v1/prompts/support%2Fagent/versions/1/gates", "")]),
    ("POST",   "/replication/v1/report", &[("/replication/v1/report", r#"{"replica":"r","version":"1"}"#)]),
];

/// Pages with the prompt in their URL; the others are requested by their paths in the route table.
const PAGES: &[(&str, &[&str])] = &[
    (
        "/ui/",
        &[
            "/ui/",
            "/ui/?q=secret",
            "/ui/?q=deep",
            "/ui/?q=words",
            "/ui/?q=words&history=on",
            "/ui/?folder=secret/",
            "/ui/?folder=support/",
            "/ui/?label=production",
            "/ui/?owner=keeper",
            "/ui/?tag=hush",
            "/ui/?risk=low",
        ],
    ),
    ("/ui/usage", &["/ui/usage", "/ui/usage?since=30d"]),
    ("/ui/alerts", &["/ui/alerts"]),
    ("/ui/alerts/{name}", &["/ui/alerts/hush", "/ui/alerts/none"]),
    ("/ui/evaluations", &["/ui/evaluations"]),
    ("/ui/evaluations/{id}", &["/ui/evaluations/{R}"]),
    ("/ui/evaluations/{id}/report", &["/ui/evaluations/{R}/report?format=json"]),
    ("/ui/new-run", &["/ui/new-run", "/ui/new-run?prompt={N}&suite=hush", "/ui/new-run?prompt=support/agent@1"]),
    ("/ui/suites/{name}", &["/ui/suites/hush"]),
    ("/ui/suites/{name}/case", &["/ui/suites/hush/case", "/ui/suites/hush/case?case=deeper"]),
    ("/ui/suites/{name}/settings", &["/ui/suites/hush/settings"]),
    ("/ui/suites/{name}/text", &["/ui/suites/hush/text"]),
    ("/ui/playground", &["/ui/playground", "/ui/playground?prompt={N}", "/ui/playground?prompt=support/agent@1"]),
    ("/ui/responses", &["/ui/responses?id=r-{S}", "/ui/responses?id=s-{S}", "/ui/responses?id=r-visible"]),
    (
        "/ui/responses/{id}",
        &["/ui/responses/r-{S}", "/ui/responses/r-visible", "/ui/responses/0123456789abcdef0123456789abcdef"],
    ),
    ("/ui/sessions/{id}", &["/ui/sessions/s-{S}", "/ui/sessions/s-mixed"]),
    ("/ui/observed", &["/ui/observed"]),
    ("/ui/observed/{id}", &["/ui/observed/{O}"]),
    ("/ui/prompts/{*name}", &["/ui/prompts/{N}", "/ui/prompts/support/agent", "/ui/prompts/support/part"]),
    ("/ui/diff/{*name}", &["/ui/diff/{N}?from=1&to=2", "/ui/diff/support/agent?from=1&to=2"]),
    ("/ui/new", &["/ui/new", "/ui/new?name={N}"]),
    ("/ui/edit/{*name}", &["/ui/edit/{N}", "/ui/edit/support/agent"]),
    ("/ui/merge/{*name}", &["/ui/merge/{N}?draft=d", "/ui/merge/support/agent?draft=none"]),
    (
        "/ui/deploy/{*name}",
        &[
            "/ui/deploy/{N}",
            "/ui/deploy/support/part?label=production&version=1",
            "/ui/deploy/support/agent?label=production",
        ],
    ),
    ("/ui/review", &["/ui/review", "/ui/review?state=open", "/ui/review?state=applied"]),
    ("/ui/review/{id}", &["/ui/review/{R}", "/ui/review/2"]),
    ("/ui/access/who/{name}", &["/ui/access/who/deep-one"]),
    ("/ui/access/tokens/{name}", &["/ui/access/tokens/deep-one"]),
    ("/ui/access/roles/{name}", &["/ui/access/roles/keeper"]),
    ("/ui/access/policies/{name}", &["/ui/access/policies/secret-policy", "/ui/access/policies/support-policy"]),
    ("/ui/access/rules/{name}", &["/ui/access/rules/builtin"]),
    ("/ui/access/webhooks/{name}", &["/ui/access/webhooks/keeper"]),
    (
        "/ui/access/archive",
        &["/ui/access/archive", "/ui/access/archive?unused_days=184", "/ui/access/archive?unused_days=184&prompts={N}"],
    ),
    ("/ui/access/why", &["/ui/access/why", "/ui/access/why?permission=deploy&prompt={N}&label=production&version=1"]),
];

/// Pages that never end, and those that no page of it is: they show nothing.
const NO_PAGES: [&str; 1] = ["/ui/live"];

struct World {
    node: Node,
    /// Names and access tokens of readers of `support/**` only.
    narrow: Vec<(&'static str, String)>,
}

fn publish(node: &Node, name: &str, text: &str) {
    let _id = node.publish(name, text);
}

fn world() -> World {
    let node = Launch::primary().args(["--record-content"]).start();
    for name in ["aaa-first/one", "secret/plan", "secret/deeper", "secret/merger", "zzz-last/one"] {
        publish(&node, name, "hidden words");
        publish(&node, name, "Hidden words: advise the customer which loan to take.");
    }
    for text in ["words", "more words"] {
        publish(&node, "support/part", text);
        publish(&node, "support/agent", text);
    }
    for name in ["secret/plan", "secret/deeper"] {
        publish(&node, name, "Hidden words about {{> support/part@1}}");
        let about = json!({"owner": "keeper", "tags": ["hush"], "description": "deeper"});
        let _about = node.change("PUT", &format!("/v1/prompts/{}/about", segment(name)), &about).ok();
        let content = json!({"content": {"syntax": "plain", "text": "deeper"}});
        let _draft = node.change("PUT", &format!("/v1/prompts/{}/drafts/d", segment(name)), &content).ok();
    }
    publish(&node, "secret/withdrawn-name", "x");
    let why = json!({"message": "gone"});
    let _removed = node.change("DELETE", &format!("/v1/prompts/{}", segment("secret/withdrawn-name")), &why).ok();
    for (name, prompts) in [("secret-policy", "secret/deeper"), ("secret-folder", "secret/merger*")] {
        let policy = json!({"name": name, "prompts": prompts, "labels": "production", "approvals": 1});
        let _policy = node.change("PUT", &format!("/v1/policies/{name}"), &policy).ok();
    }
    let policy = json!({"name": "support-policy", "prompts": "support/**", "labels": "production", "approvals": 1});
    let _policy = node.change("PUT", "/v1/policies/support-policy", &policy).ok();
    let moving = |name: &str| json!({"name": name, "label": "production", "serving": {"version": 1}});
    for names in [&["secret/deeper"][..], &["support/part"], &["support/agent", "secret/merger"]] {
        let moves: Vec<Value> = names.iter().map(|name| moving(name)).collect();
        let _asked = node.change("POST", "/v1/requests", &json!({"message": "m", "moves": moves})).ok();
    }
    let keeper = json!({"permissions": ["read", "remove", "retire", "import"]});
    let _role = node.change("PUT", "/v1/roles/keeper", &keeper).ok();
    let mut narrow = Vec::new();
    for (who, roles) in [("rita", &["reader"][..]), ("pat", &["author", "releaser", "keeper"])] {
        let grants: Vec<Value> = roles.iter().map(|role| json!({"role": role, "prompts": "support/**"})).collect();
        let _person =
            node.change("POST", "/v1/principals", &json!({"name": who, "kind": "person", "grants": grants})).ok();
        let token = node.change("POST", "/v1/tokens", &json!({"name": who, "principal": who})).ok();
        narrow.push((who, token["token"].as_str().expect("shown once").to_owned()));
    }
    // A principal whose grants name a hidden prompt, and an admin with a limited access token.
    let grants = json!([{"role": "author", "prompts": "secret/deeper"}]);
    let _one =
        node.change("POST", "/v1/principals", &json!({"name": "deep-one", "kind": "person", "grants": grants})).ok();
    let _token = node.change("POST", "/v1/tokens", &json!({"name": "deep-one", "principal": "deep-one"})).ok();
    let reports = json!({"responses": [
        {"id": "r-1", "prompt": "secret/deeper", "cost_usd": 3, "latency_ms": 5},
        {"id": "r-2", "prompt": "secret/withdrawn-name", "cost_usd": 4},
        {"id": "r-3", "prompt": "support/agent", "cost_usd": 1},
        {"id": "r-4", "prompt": "none/at-all"},
    ]});
    let _reported = node.change("POST", "/v1/responses", &reports).ok();
    let alert = json!({"metric": "spend", "threshold": 1, "prompts": "secret/deeper", "per_s": 3600});
    assert_eq!(node.change("PUT", "/v1/alerts/hush", &alert).status, 201);
    let bound = json!({"name": "bound", "principal": "admin", "prompts": "support/**"});
    let token = node.change("POST", "/v1/tokens", &bound).ok();
    narrow.push(("bound", token["token"].as_str().expect("shown once").to_owned()));
    let responses = json!({"responses": [
        {"id": "r-secret/plan", "prompt": "secret/plan", "session": "s-secret/plan", "user": "deeper"},
        {"id": "r-visible", "prompt": "support/agent@1", "session": "s-mixed"},
        {"id": "r-merger", "prompt": "secret/merger@1", "session": "s-mixed", "user": "merger",
            "trace_id": "0123456789abcdef0123456789abcdef", "span_id": "00000000000000aa"},
    ]});
    let _recorded = node.change("POST", "/v1/responses", &responses).ok();
    let input = json!([{"role": "system", "content": OBSERVED}]);
    let _observed = node.change("POST", "/v1/responses", &json!({"responses": [{"id": "o-1", "input": input}]})).ok();
    let suite = json!({"suite": {"scorers": [{"type": "is-json"}], "cases": [{"name": "deeper"}]}, "message": "m"});
    let _suite = node.change("PUT", "/v1/suites/hush", &suite).ok();
    for prompt in ["secret/deeper", "secret/plan", "secret/merger"] {
        let result = json!({"case": "deeper", "model": "m:m", "repeat": 0, "verdict": "passed", "score": 1});
        let run = json!({"prompt": prompt, "suite": "hush", "tool": "t", "results": [result]});
        let _run = node.change("POST", "/v1/runs/import", &run).ok();
    }
    World { node, narrow }
}

impl World {
    fn send(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.node.send(method, path, &headers, body.as_bytes())
    }

    fn commits(&self) -> u64 {
        let position = self.node.status()["position"].as_str().expect("a position").to_owned();
        position.split_once('.').and_then(|(_, seq)| seq.parse().ok()).expect("a commit")
    }
}

/// What is asked with each of the names or numbers that it has a place for.
fn filled(text: &str, with: &str) -> String {
    let id = blake3::hash(OBSERVED.as_bytes()).to_hex();
    text.replace("{N}", with).replace("{S}", &segment(with)).replace("{R}", with).replace("{O}", &id[..16])
}

/// Input for a form field; nothing if it is left empty.
fn choices(asked: &str) -> &'static [&'static str] {
    if asked.contains("{R}") {
        &REQUESTS
    } else if asked.contains("{N}") || asked.contains("{S}") {
        &TYPED
    } else {
        &[""]
    }
}

/// An answer without what was typed.
fn plain(answer: &str, typed: &str) -> String {
    if typed.is_empty() {
        return answer.to_owned();
    }
    if typed.bytes().all(|byte| byte.is_ascii_digit()) {
        let named =
            [(format!("`{typed}`"), "`R`"), (format!("<code>{typed}<"), "<code>R<"), (format!("/{typed}"), "/R")];
        return named.iter().fold(answer.to_owned(), |answer, (from, to)| answer.replace(from, to));
    }
    let encoded = typed.replace('/', "%2F");
    answer.replace(typed, "N").replace(&segment(typed), "N").replace(&encoded, "N")
}

fn check_names(story: &str, answer: &str) {
    for hidden in NEVER {
        assert!(!answer.contains(hidden), "{story} names `{hidden}`: {answer}");
    }
}

#[test]
fn no_operation_reveals_a_hidden_prompt() {
    let world = world();
    let document = world.node.get("/openapi.json").ok();
    let paths = document["paths"].as_object().expect("paths").iter();
    let documented: BTreeSet<(String, String)> = paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations").keys();
            methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let listed = TABLE.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(documented, listed, "every operation stands in the table of this test");

    for (who, token) in &world.narrow {
        for (method, _, asks) in TABLE {
            for (path, body) in *asks {
                let mut first: Option<(&str, u16, String, u64)> = None;
                for typed in choices(&format!("{path} {body}")) {
                    let before = world.commits();
                    let answer = world.send(token, method, &filled(path, typed), &filled(body, typed));
                    let recorded = world.commits() - before;
                    let story = format!("{who}: {method} {path} {body} with `{typed}`: {}", answer.status);
                    assert!(answer.status < 500, "{story}: {}", answer.text());
                    let says = answer.text();
                    check_names(&story, &says);
                    check_names(&story, &answer.head);
                    let says = plain(&says, typed);
                    match &first {
                        None => first = Some((*typed, answer.status, says, recorded)),
                        Some((other, status, text, commits)) => {
                            assert_eq!((answer.status, &says), (*status, text), "{story}, unlike `{other}`");
                            assert_eq!(recorded, *commits, "{story}: recorded unlike `{other}`");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn cursors_cover_exactly_the_readable_rows() {
    let world = world();
    for (who, token) in &world.narrow {
        for list in ["/v1/prompts?removed=true&limit=1", "/v1/deployments?limit=1", "/v1/requests?limit=1"] {
            let (mut items, mut next) = (Vec::new(), String::new());
            loop {
                let page = world.send(token, "GET", &format!("{list}{next}"), "").ok();
                let rows = page["items"].as_array().expect("rows").clone();
                assert!(
                    rows.len() == 1 || page["next"].is_null(),
                    "{who}: an empty page says that something is hidden"
                );
                items.extend(rows);
                match page["next"].as_str() {
                    Some(cursor) => next = format!("&cursor={}", segment(cursor)),
                    None => break,
                }
                assert!(items.len() < 100, "{who}: {list} ends");
            }
            let names: BTreeSet<&str> = items
                .iter()
                .flat_map(|row| [&row["name"], &row["prompt"]["name"], &row["moves"][0]["name"]])
                .filter_map(Value::as_str)
                .collect();
            assert!(!names.is_empty(), "{who}: {list}");
            assert!(names.iter().all(|name| name.starts_with("support/")), "{who}: {list}: {names:?}");
        }
    }
}

#[test]
fn event_streams_leave_out_hidden_prompts() {
    let world = world();
    for (who, token) in &world.narrow {
        let mut stream = BufReader::new(world.node.connect());
        let request = format!(
            "GET /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nlast-event-id: 1.1\r\n\r\n"
        );
        stream.get_mut().write_all(request.as_bytes()).expect("written");
        assert!(head(&mut stream).expect("a head").starts_with("HTTP/1.1 200"));
        // Not under production, which has policies.
        for name in ["secret/deeper".to_owned(), format!("support/for-{who}")] {
            let content = json!({"syntax": "plain", "text": format!("unseen by {who}")});
            let _id = world.node.publish_content(&name, &content, &[]);
        }
        let mut heard = String::new();
        while !heard.contains(&format!("support/for-{who}")) {
            let mut line = String::new();
            assert_ne!(stream.read_line(&mut line).expect("readable"), 0, "{who}: {heard}");
            heard.push_str(&line);
        }
        check_names(who, &heard);
        assert!(!heard.contains("secret"), "{who}: {heard}");
    }
}

#[test]
fn no_page_reveals_a_hidden_prompt() {
    let world = world();
    let routes = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/ui/routes.rs"));
    let routes = routes.expect("the table of pages");
    let read: Vec<&str> =
        routes.lines().filter_map(|line| line.trim().strip_prefix("Route::new(\"GET\",")?.split('"').nth(1)).collect();
    assert!(read.len() > 20, "{read:?}");
    for (who, token) in &world.narrow {
        let mut browser = Browser::new(&world.node);
        let _signed_in = browser.sign_in(token);
        for route in &read {
            if NO_PAGES.contains(route) {
                continue;
            }
            let own = [*route];
            let asks = PAGES.iter().find(|(path, _)| path == route).map_or(&own[..], |(_, asks)| asks);
            assert!(
                asks.iter().all(|ask| !ask.contains("{*") && !ask.contains("{name}")),
                "{route} needs a line in PAGES"
            );
            for path in asks {
                let mut first: Option<(u16, String)> = None;
                for typed in choices(path) {
                    let answer = browser.get(&filled(path, typed));
                    let story = format!("{who}: {path} with `{typed}`: {}", answer.status);
                    assert!(answer.status < 500, "{story}: {}", answer.text());
                    let says = answer.text();
                    // The search field shows the search text.
                    check_names(&story, &says.replace("value=\"deep\"", ""));
                    let says = plain(&says, typed);
                    match &first {
                        None => first = Some((answer.status, says)),
                        Some((status, text)) => assert_eq!((answer.status, &says), (*status, text), "{story}"),
                    }
                }
            }
        }
    }
}
