//! The images as `make images` makes them: what is in them and on them, and that they run.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod archive;
mod compose;
mod contents;
mod recipe;
mod up;
