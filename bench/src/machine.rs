//! What machine this is, as far as it explains the figures.

use std::fs;
use std::time::Duration;

/// Lines for people.
pub(crate) fn facts() -> Vec<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        cpu.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map_or("unknown", |(_, value)| value.trim())
    };
    let flags = if field("flags") == "unknown" {
        field("Features")
    } else {
        field("flags")
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    vec![
        format!(
            "{cores} cores, {}, SHA instructions: {}",
            field("model name"),
            if has_sha(flags) { "yes" } else { "no" }
        ),
        format!(
            "Linux {}, SQLite {}, load at the start {}",
            kernel.trim(),
            rusqlite::version(),
            load.split(' ').next().unwrap_or("unknown"),
        ),
    ]
}

/// `sha_ni` on x86, `sha2` on 64-bit ARM.
fn has_sha(flags: &str) -> bool {
    flags
        .split_whitespace()
        .any(|flag| matches!(flag, "sha_ni" | "sha2"))
}

/// The most memory a process ever had resident, in MiB.
pub(crate) fn peak_resident_mib(pid: u32) -> Option<f64> {
    memory_mib(pid, "VmHWM:")
}

/// What a process has resident now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Option<f64> {
    memory_mib(pid, "VmRSS:")
}

/// The processor time that a process has used so far, in all its threads, its own and the kernel's on its behalf.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    cpu_time_in(&format!("/proc/{pid}/stat"))
}

/// The processor time that this thread has used so far.
pub(crate) fn cpu_time_of_thread() -> Option<Duration> {
    cpu_time_in("/proc/thread-self/stat")
}

/// User and system time in a `stat` file of `/proc` (proc(5): fields 14 and 15).
fn cpu_time_in(stat: &str) -> Option<Duration> {
    let stat = fs::read_to_string(stat).ok()?;
    // The name of the program may have spaces; nothing after its bracket has.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(
        ticks * 1_000 / rustix::param::clock_ticks_per_second(),
    ))
}

fn memory_mib(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn a_loop_that_runs_costs_time() {
        let used = || super::cpu_time(std::process::id()).unwrap();
        let before = used();
        while used() < before + Duration::from_millis(50) {}
        assert!(super::cpu_time(u32::MAX).is_none());
    }

    #[test]
    fn this_process_has_some_memory() {
        assert!(super::peak_resident_mib(std::process::id()).is_some_and(|mib| mib > 0.5));
        assert!(super::has_sha("fpu sha_ni avx2"));
        assert!(!super::has_sha("fpu avx2"));
    }
}
