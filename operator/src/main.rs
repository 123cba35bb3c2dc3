//! `meshcore-operator`: parse, log, run, exit code.

fn main() {}
