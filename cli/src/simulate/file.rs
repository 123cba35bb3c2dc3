//! Writing the simulation to a file or to standard output.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use meshcore_simulator::Simulation;

use super::Limits;
use crate::feed_line::to_line;
use crate::terminal::{Usage, counted, tell};

/// Writes until a limit is reached; to standard output also until the reader has enough.
pub(super) fn write(
    simulation: Simulation,
    limits: Limits,
    path: &Path,
) -> anyhow::Result<ExitCode> {
    let is_stdout = path == Path::new("-");
    if limits.is_endless() && !is_stdout {
        let cure = "a simulation has no end; say with --count or --duration where the file ends";
        return Err(Usage(cure.to_owned()).into());
    }
    let written = if is_stdout {
        write_lines(simulation, limits, io::stdout().lock())
    } else {
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        write_lines(simulation, limits, file)
    };
    match written {
        Ok(count) if !is_stdout => {
            tell(&format!(
                "Wrote {} to {}",
                counted(count, "message"),
                path.display()
            ));
        }
        Err(err) if is_stdout && err.kind() == ErrorKind::BrokenPipe => {}
        written => {
            written.with_context(|| format!("cannot write to {}", path.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_lines(simulation: Simulation, limits: Limits, out: impl Write) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(256 * 1024, out);
    let mut count = 0;
    for message in simulation {
        if limits.ends_before(&message, count) {
            break;
        }
        let mut line = to_line(&message);
        line.push(b'\n');
        out.write_all(&line)?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}
