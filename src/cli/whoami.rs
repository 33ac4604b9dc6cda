//! `whoami`: the principal of the access token, and its permissions.

use clap::Args;

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{DIM, Output, STRONG, one_line, paint, zoned};
use crate::api::govern::WhoAmI;

const EXAMPLES: &str = "\
Examples:
  bookholder whoami
  bookholder whoami --json";

/// `whoami`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WhoamiArgs {}

pub async fn run(context: Context) -> Result<Verdict, CliError> {
    let me = context.client.whoami().await?;
    context.output.show(&me, || print(context.output, &me))?;
    Ok(Verdict::Done)
}

fn print(output: Output, me: &WhoAmI) -> Result<(), CliError> {
    output.line(format!("{} {}", paint(STRONG, one_line(&me.name)), paint(DIM, me.kind)))?;
    for (what, value) in rows(me) {
        output.line(format!("{} {}", paint(DIM, format!("{what:<11}")), one_line(&value)))?;
    }
    Ok(())
}

fn rows(me: &WhoAmI) -> Vec<(&'static str, String)> {
    let mut rows = vec![("by", me.method.clone())];
    rows.push(("expires", me.expires.map_or_else(|| "never".to_owned(), zoned)));
    rows.extend(me.prompts.iter().map(|bound| ("limited to", bound.to_string())));
    if me.grants.is_empty() {
        rows.push(("grants", "none".to_owned()));
    }
    rows.extend(me.grants.iter().map(|grant| ("grant", grant.to_string())));
    let may: Vec<_> = me.permissions.iter().map(|permission| permission.as_str()).collect();
    rows.push(("permissions", if may.is_empty() { "nothing".to_owned() } else { may.join(", ") }));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoami_shows_principal_method_and_permissions() {
        let json = r#"{"name":"ann","kind":"person","method":"access token ann-laptop","prompts":"support/**",
            "grants":[{"role":"releaser","prompts":"support/**","labels":"staging"}],
            "permissions":["read","deploy"],"expires":"2026-03-20T15:00:00Z"}"#;
        let me: WhoAmI = serde_json::from_str(json).expect("somebody");
        let shown: Vec<String> = rows(&me).into_iter().map(|(what, value)| format!("{what}: {value}")).collect();
        let expected = [
            "by: access token ann-laptop",
            "expires: 2026-03-20 15:00:00 UTC",
            "limited to: support/**",
            "grant: releaser on support/** for labels staging",
            "permissions: read, deploy",
        ];
        assert_eq!(shown, expected);
        let nobody = WhoAmI { grants: Vec::new(), permissions: Vec::new(), prompts: None, expires: None, ..me };
        let shown: Vec<String> = rows(&nobody).into_iter().map(|(_, value)| value).collect();
        assert_eq!(shown, ["access token ann-laptop", "never", "none", "nothing"]);
    }
}
