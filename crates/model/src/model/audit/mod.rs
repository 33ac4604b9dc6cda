//! The audit log: one entry for each decided command, linked to the previous one by its hash.
//!
//! Everything that a program reads is typed: which command it was ([`Command`]), what it was about ([`Subject`]) and
//! what it changed ([`AuditChange`]). Display text is made where it is shown and never parsed.

mod change;
mod command;
mod decision;
mod entry;
#[doc(hidden)]
pub mod samples;
mod subject;

pub use change::AuditChange;
pub use command::{
    ALERT_FIRING, ALERT_RESOLVED, Command, GATE_DECIDED, GATE_STALE, LABEL_MOVED, PROMPT_REMOVED, VERSION_CREATED,
};
pub use decision::Decision;
pub use entry::{AUDIT_CONTEXT, AUDIT_FORMAT, AuditEntry, AuditVerdict, Link, LinkError};
pub use subject::Subject;
