//! The real `meshcore` binary, as people call it.

mod common;
mod decode;
mod doctor;
mod import;
mod replay;
mod simulate;
mod up;
mod validate;
