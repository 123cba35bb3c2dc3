//! meshcore
fn main() {}
