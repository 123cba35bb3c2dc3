//! What the README tells users, compared with what the operator says.

use meshcore_operator::status::Reason;

use crate::files;

#[test]
fn the_readme_has_every_reason() {
    let readme = files::text("README.md");
    // Reasons of conditions that are well need no cure.
    let well = [
        Reason::ClaimBound,
        Reason::AsRequested,
        Reason::HasRoom,
        Reason::WithinBudget,
        Reason::NothingPending,
    ];
    let told = |reason: &&Reason| !readme.contains(&format!("`{reason}`"));
    let untold: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !well.contains(reason))
        .filter(told)
        .collect();
    assert!(
        untold.is_empty(),
        "README.md, Troubleshooting a resource, lacks {untold:?}"
    );
}
