//! The audit log: one entry for each command that was decided, each bound to the one before.
//!
//! Everything that a program reads is typed: which command it was ([`Command`]), what it was about ([`Subject`]) and what
//! it changed ([`AuditChange`]). Texts for people are made where they are shown; none is read back.

mod change;
mod command;
mod entry;
#[doc(hidden)]
pub mod samples;
mod subject;

pub use change::AuditChange;
pub use command::{Command, LABEL_MOVED, PROMPT_REMOVED, VERSION_CREATED};
pub use entry::{AUDIT_CONTEXT, AUDIT_FORMAT, AuditEntry, AuditVerdict, Decision, Link, LinkError};
pub use subject::Subject;
