//! `principal`: manages people, services and their grants.

use clap::{Args, Subcommand};

use super::Verdict;
use super::args::values::{grant, handle, lifetime};
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, Table, moment, one_line, paint, zoned};
use crate::api::govern::{GrantsRequest, PrincipalRequest, SignInLinkRequest};
use crate::model::pattern::Pattern;
use crate::model::principal::{Grant, Principal, PrincipalKind};

const EXAMPLES: &str = "\
Examples:
  bookholder principal add ann --grant author \\
      --grant 'releaser:support/**:staging'
  bookholder principal add nightly --service --grant 'author:support/**'
  bookholder principal grant ann releaser --prompts 'support/**' \\
      --labels production
  bookholder principal revoke ann releaser --labels production
  bookholder principal disable ann           rejects every access token of ann
  bookholder principal sign-in-link ann      prints a one-time sign-in link
  bookholder token create ann-laptop --for ann

In a pattern, * matches any text between slashes, and ** matches any text.";

/// `principal`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PrincipalArgs {
    #[command(subcommand)]
    command: PrincipalCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum PrincipalCommand {
    /// Add a person, a service or an automation
    Add {
        /// Unique name, used in the audit log
        #[arg(value_parser = handle)]
        name: String,
        /// The principal is a program, not a person
        #[arg(long)]
        service: bool,
        /// The principal is something that the node does by itself; it has no access tokens
        #[arg(long, conflicts_with = "service")]
        automation: bool,
        /// Role, optionally limited to matching prompts and labels; repeatable
        #[arg(long, value_name = "ROLE[:PROMPTS[:LABELS]]", value_parser = grant)]
        grant: Vec<Grant>,
    },
    /// List principals and their grants
    List,
    /// Grant a role
    Grant {
        /// Name of the principal
        name: String,
        /// Name of the role
        role: String,
        /// Prompts the grant covers
        #[arg(long, value_name = "PATTERN", default_value = "**")]
        prompts: Pattern,
        /// Labels the grant covers (deploy and review only)
        #[arg(long, value_name = "PATTERN", default_value = "**")]
        labels: Pattern,
    },
    /// Remove grants of a role
    Revoke {
        /// Name of the principal
        name: String,
        /// Name of the role
        role: String,
        /// Only grants for exactly these prompts
        #[arg(long, value_name = "PATTERN")]
        prompts: Option<Pattern>,
        /// Only grants for exactly these labels
        #[arg(long, value_name = "PATTERN")]
        labels: Option<Pattern>,
    },
    /// Print a one-time sign-in link for a person
    SignInLink {
        /// Name of the person
        #[arg(value_parser = handle)]
        name: String,
        /// Lifetime of the link (max. 24h); a new link replaces an unused one
        #[arg(long, value_name = "DURATION", value_parser = lifetime, default_value = "1h")]
        expires: u64,
    },
    /// Disable a principal
    Disable {
        /// Name of the principal
        name: String,
    },
    /// Re-enable a principal
    Enable {
        /// Name of the principal
        name: String,
    },
}

pub async fn run(args: PrincipalArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    let changed = match args.command {
        PrincipalCommand::List => {
            let principals = client.principals().await?;
            output.list(&principals, || output.table(&table(&principals), "no principals"))?;
            return Ok(Verdict::Done);
        }
        PrincipalCommand::Add { name, service, automation, grant } => {
            let kind = match (service, automation) {
                (true, _) => PrincipalKind::Service,
                (false, true) => PrincipalKind::Automation,
                (false, false) => PrincipalKind::Person,
            };
            client.create_principal(&PrincipalRequest { name, kind, grants: grant }).await?
        }
        PrincipalCommand::Grant { name, role, prompts, labels } => {
            let Principal { mut grants, .. } = find(&context, &name).await?;
            let grant = Grant { role, prompts, labels };
            if !grants.contains(&grant) {
                grants.push(grant);
            }
            client.set_grants(&name, &GrantsRequest { grants }).await?
        }
        PrincipalCommand::Revoke { name, role, prompts, labels } => {
            let Principal { grants, .. } = find(&context, &name).await?;
            let kept = without(&grants, &role, prompts.as_ref(), labels.as_ref());
            if kept.len() == grants.len() {
                let held = grants.iter().map(ToString::to_string).collect();
                let message = format!("{name} has no such grant of {role}; nothing was changed");
                return Err(CliError::no(message).details(held));
            }
            client.set_grants(&name, &GrantsRequest { grants: kept }).await?
        }
        PrincipalCommand::SignInLink { name, expires } => {
            let made = client.create_sign_in_link(&name, &SignInLinkRequest { expires_s: Some(expires) }).await?;
            if output.json {
                output.json(&made)?;
            } else {
                output.line(one_line(&made.url))?;
                let until = zoned(made.expires);
                output.note(format!(
                    "{} signs {name} in once, valid until {until}; send it only to them",
                    paint(GOOD, "✓")
                ));
            }
            return Ok(Verdict::Done);
        }
        PrincipalCommand::Disable { name } => client.disable_principal(&name).await?,
        PrincipalCommand::Enable { name } => client.enable_principal(&name).await?,
    };
    output.show(&changed, || show(output, &changed))?;
    Ok(Verdict::Done)
}

async fn find(context: &Context, name: &str) -> Result<Principal, CliError> {
    let found = context.client.principals().await?.into_iter().find(|principal| principal.name == name);
    found.ok_or_else(|| {
        CliError::no(format!("no principal named `{name}`")).hint("list them with `bookholder principal list`")
    })
}

/// The remaining grants after those of a role are removed, all or only those with these patterns.
fn without(grants: &[Grant], role: &str, prompts: Option<&Pattern>, labels: Option<&Pattern>) -> Vec<Grant> {
    let meant = |grant: &&Grant| {
        grant.role == role
            && prompts.is_none_or(|prompts| grant.prompts == *prompts)
            && labels.is_none_or(|labels| grant.labels == *labels)
    };
    grants.iter().filter(|grant| !meant(grant)).cloned().collect()
}

fn show(output: Output, principal: &Principal) -> Result<(), CliError> {
    let state = match principal.disabled {
        Some(_) => paint(BAD, "is disabled"),
        None if principal.grants.is_empty() => "has no grants".to_owned(),
        None => "has".to_owned(),
    };
    output.line(format!("{} {} {state}", paint(GOOD, "✓"), paint(ACCENT, one_line(&principal.name))))?;
    principal.grants.iter().try_for_each(|grant| output.line(format!("  {}", one_line(&grant.to_string()))))
}

fn table(principals: &[Principal]) -> Table {
    let mut table = Table::new(&["NAME", "KIND", "SINCE (ZONE)", "GRANTS"]);
    for principal in principals {
        let grants = principal.grants.iter().map(ToString::to_string).collect::<Vec<_>>().join(" · ");
        let grants = match principal.disabled {
            Some(at) => Cell::new(BAD, format!("disabled {}", moment(at))),
            None => Cell::from(grants),
        };
        table.row([
            Cell::new(ACCENT, &principal.name),
            Cell::from(principal.kind),
            Cell::new(DIM, moment(principal.created)),
            grants,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revoke_removes_only_matching_grants() {
        let grants =
            ["author", "releaser:support/**", "releaser:support/**:staging"].map(|text| grant(text).expect(text));
        let check = |role: &str, prompts: Option<&str>, labels: Option<&str>, left: &[usize]| {
            let [prompts, labels] = [prompts, labels].map(|text| text.map(|text| text.parse().expect("a pattern")));
            let expected: Vec<_> = left.iter().map(|index| grants[*index].clone()).collect();
            assert_eq!(without(&grants, role, prompts.as_ref(), labels.as_ref()), expected, "{role}");
        };
        check("releaser", None, None, &[0]);
        check("releaser", None, Some("staging"), &[0, 1]);
        check("releaser", Some("support/**"), Some("**"), &[0, 2]);
        check("releaser", Some("**"), None, &[0, 1, 2]);
        check("admin", None, None, &[0, 1, 2]);
    }

    #[test]
    fn principal_is_shown_as_one_row() {
        let json = r#"[{"name":"ann","kind":"person","created":"2026-01-02T03:04:05Z","grants":[{"role":"author"},
            {"role":"releaser","prompts":"support/**","labels":"staging"}]},
            {"name":"old","kind":"service","created":"2026-01-02T03:04:05Z","disabled":"2026-02-02T03:04:05Z"}]"#;
        let principals: Vec<Principal> = serde_json::from_str(json).expect("two principals");
        let expected = "\
NAME  KIND     SINCE (UTC)          GRANTS
ann   person   2026-01-02 03:04:05  author on ** · releaser on support/** for labels staging
old   service  2026-01-02 03:04:05  disabled 2026-02-02 03:04:05
";
        assert_eq!(table(&principals).render(false, None), expected);
    }
}
