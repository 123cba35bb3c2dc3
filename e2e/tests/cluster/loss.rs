//! Nothing that the broker acknowledged is lost, whatever happens to the pod, its containers, the broker or the node;
//! and how long nobody was there.

mod changed;
mod killed;
mod node;
mod rotated;
mod story;

pub(crate) use changed::pods_that_are_replaced_lose_nothing;
pub(crate) use killed::containers_that_are_killed_lose_nothing;
pub(crate) use node::a_node_and_an_operator_that_are_replaced_lose_nothing;
pub(crate) use rotated::a_rotated_password_restarts_nothing_and_loses_nothing;
