//! Deliberate faults, to prove that the durability tests would find them. Compiled in only with the feature
//! `mutants`; without it every question is answered with a constant `false`.

/// Whether the fault `name` was chosen by `MESHCORE_MUTANT`: `ack-before-commit`, `synchronous-normal` or
/// `no-barrier`.
#[cfg(feature = "mutants")]
pub fn is_active(name: &str) -> bool {
    std::env::var("MESHCORE_MUTANT").is_ok_and(|chosen| chosen == name)
}

/// Always `false`: the feature `mutants` is off.
#[cfg(not(feature = "mutants"))]
pub const fn is_active(_name: &str) -> bool {
    false
}
