//! The story with real processes: primaries and replicas that are killed, copied, damaged and crowded.

mod bundles;
mod crashes;
mod damage;
mod disk;
mod logs;
mod restoring;
mod set_back;
mod starting;
mod story;
