//! The limit of the live feed: the processor time of plain `write()` calls of as many bytes to as many sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::machine::cpu_time_of_thread;

/// How long it is measured.
const SECONDS: f64 = 3.0;

/// Processor seconds in each second for `frames_per_second` writes of `bytes` to each of `clients` sockets.
pub(super) fn cores(clients: usize, bytes: usize, frames_per_second: f64) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut sockets = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..clients {
        readers.push(TcpStream::connect(address)?);
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    let reading = std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        // Each in its turn: what one does not read yet waits in the kernel.
        while readers
            .iter_mut()
            .all(|reader| reader.read(&mut buffer).is_ok_and(|n| n > 0))
        {}
    });
    let writing = std::thread::spawn(move || write_all(&mut sockets, bytes, frames_per_second));
    let cores = writing.join().ok().context("the plain writer panicked")??;
    reading.join().ok().context("the plain reader panicked")?;
    Ok(cores)
}

fn write_all(sockets: &mut [TcpStream], bytes: usize, frames_per_second: f64) -> Result<f64> {
    let frame = vec![b'x'; bytes];
    let pause = Duration::from_secs_f64(1.0 / frames_per_second.max(1.0));
    let (started, before) = (Instant::now(), cpu_time_of_thread().context("own clock")?);
    let mut next = started;
    while started.elapsed().as_secs_f64() < SECONDS {
        for socket in &mut *sockets {
            socket.write_all(&frame)?;
        }
        next += pause;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let after = cpu_time_of_thread().context("own clock")?;
    Ok(after.saturating_sub(before).as_secs_f64() / started.elapsed().as_secs_f64())
}
