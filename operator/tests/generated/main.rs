//! Files that are made from the code: each is computed and compared, and written by `make generate`.

mod chart;
mod metrics;
mod roles;
mod single_file;
mod values;
