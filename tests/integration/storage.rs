//! Disks that fail and bytes that change: what was readable stays readable, and what is damaged is not served.

mod faults;
mod flips;
mod healing;
mod size;
