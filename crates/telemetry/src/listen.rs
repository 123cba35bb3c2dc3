//! Sockets that listen, also on machines without IPv6.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpSocket;

/// Binds a socket to `address`. `[::]` means all addresses of both families; on a machine without IPv6, such as one
/// started with `ipv6.disable=1`, it means all that there are.
///
/// # Errors
/// As of `socket` and `bind`.
pub fn bound_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let (socket, address) = socket(address)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// A socket of the right family, and the address to bind it to.
fn socket(address: SocketAddr) -> io::Result<(TcpSocket, SocketAddr)> {
    if address.is_ipv4() {
        return Ok((TcpSocket::new_v4()?, address));
    }
    match TcpSocket::new_v6() {
        Ok(socket) => Ok((socket, address)),
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED => {
            let instead = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            tracing::info!(%error, address = %instead, "There is no IPv6 here; IPv4 alone is listened on");
            Ok((TcpSocket::new_v4()?, instead))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let socket = bound_socket("[::]:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in ["127.0.0.1", "::1"] {
            let connected = tokio::net::TcpStream::connect((address, port)).await;
            assert!(connected.is_ok(), "{address}: {connected:?}");
        }
    }
}
