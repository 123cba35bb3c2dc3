//! Ports for programs that are told theirs.

use std::net::TcpListener;

use anyhow::{Result, bail};

/// A port that was free a moment ago, on loopback and all other addresses.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    quiet_port().expect("some port is free")
}

/// A free port that the kernel gives to no connection by itself. One that it gives could be taken before the program
/// listens, or while it is down, even by a client that tries to reach it.
pub(crate) fn quiet_port() -> Result<u16> {
    for _ in 0..100 {
        let port = u16::try_from(15_000 + crate::random() % 15_000)?;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 15000 and 30000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_none_that_the_kernel_gives_to_a_connection() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let first: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        for _ in 0..100 {
            let port = free_port();
            assert!((1_024..first).contains(&port), "{port} of {range}");
        }
    }
}
