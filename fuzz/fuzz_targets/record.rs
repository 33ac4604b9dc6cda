//! Stored records and documents: what is read is written in a form that reads back as the same.
#![no_main]

use bookholder::store::fuzzing::read_record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| read_record(bytes));
