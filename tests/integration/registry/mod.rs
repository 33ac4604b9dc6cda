//! The governed write path: the effect of each command, its rejections, and their errors.

mod access;
mod automation;
mod closing;
mod dating;
mod deploying;
mod governing;
mod growing;
mod hardened;
mod including;
mod making;
mod promoting;
mod publishing;
mod refusing;
mod removing;
mod stopping;
mod unauthorised;
mod using;
mod working;
