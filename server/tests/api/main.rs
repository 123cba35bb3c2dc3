//! The REST interface of the real server over a database that the real store wrote.

mod absent;
mod adopted;
mod decode;
mod documentation;
mod harness;
mod hostile;
mod nodes;
mod observers;
mod packets;
mod stats;
