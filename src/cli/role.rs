//! `role`: manages named sets of permissions.

use std::collections::BTreeSet;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Args, Subcommand};

use super::Verdict;
use super::args::values::{YesArgs, handle, one_of};
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Table, paint};
use crate::api::govern::RoleRequest;
use crate::model::principal::{Permission, Role};

const EXAMPLES: &str = "\
Examples:
  bookholder role list
  bookholder role set on-call read deploy --description 'Rolls back at night'
  bookholder role remove on-call";

/// `role`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RoleArgs {
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum RoleCommand {
    /// List roles and their permissions
    List,
    /// Create or replace a role
    Set {
        /// Name of the role
        #[arg(value_parser = handle)]
        name: String,
        /// All of its permissions
        #[arg(required = true, value_name = "PERMISSION", value_parser = permission())]
        permissions: Vec<Permission>,
        /// Description of the role
        #[arg(long, default_value = "", hide_default_value = true)]
        description: String,
    },
    /// Remove an unused role
    Remove {
        /// Name of the role
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
}

fn permission() -> impl TypedValueParser<Value = Permission> {
    let value = |permission: Permission| PossibleValue::new(permission.as_str()).help(permission.allows());
    one_of(Permission::ALL.map(value), str::parse::<Permission>)
}

pub async fn run(args: RoleArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        RoleCommand::List => {
            let roles = client.roles().await?;
            output.list(&roles, || output.table(&table(&roles), "no roles"))?;
        }
        RoleCommand::Set { name, permissions, description } => {
            let request = RoleRequest { permissions: permissions.into_iter().collect(), description };
            let role = client.put_role(&name, &request).await?;
            output.show(&role, || {
                let may = listed(&role.permissions);
                output.line(format!("{} {} can {may}", paint(GOOD, "✓"), paint(ACCENT, name)))
            })?;
        }
        RoleCommand::Remove { name, yes } => {
            confirm(output, yes.yes, &format!("Remove the role {name}?"), Vec::new())?;
            client.remove_role(&name).await?;
            output.show(&serde_json::json!({ "removed": name }), || {
                output.line(format!("{} removed role {}", paint(GOOD, "✓"), paint(ACCENT, name)))
            })?;
        }
    }
    Ok(Verdict::Done)
}

fn listed(permissions: &BTreeSet<Permission>) -> String {
    permissions.iter().map(|permission| permission.as_str()).collect::<Vec<_>>().join(", ")
}

fn table(roles: &[Role]) -> Table {
    let mut table = Table::new(&["ROLE", "ALLOWS", "DESCRIPTION"]);
    for role in roles {
        let everything = role.permissions.len() == Permission::ALL.len();
        let may = if everything { "everything".to_owned() } else { listed(&role.permissions) };
        let style = if role.built_in { DIM } else { ACCENT };
        table.row([Cell::new(style, &role.name), Cell::from(may), Cell::new(DIM, &role.description)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_is_shown_as_one_row() {
        let mut roles = Role::built_in();
        roles.retain(|role| ["admin", "author"].contains(&role.name.as_str()));
        let expected = "\
ROLE    ALLOWS              DESCRIPTION
admin   everything          Everything, including overriding a policy with a reason
author  read, publish, run  Writes prompts, edits drafts, opens change requests, runs evaluations
";
        assert_eq!(table(&roles).render(false, None), expected);
    }
}
