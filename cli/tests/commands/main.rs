//! The real `meshcore` binary, as people call it.

mod common;
mod decode;
mod replay;
mod simulate;
