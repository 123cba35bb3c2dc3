//! Each rule accepts and refuses, and says what to do. One table, `tests/rules.jsonl`, is asked three times: in Rust,
//! in CEL without an API server, and of a real API server. The answers are the same.

mod api_server;
mod cel;
mod definition;
mod offline;
mod table;
