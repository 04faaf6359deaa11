//! The door to environment variables and to what this machine has.
#![expect(clippy::disallowed_methods, reason = "this is the door")]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;

/// One variable; `None` if it is unset or not text.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// This program, to start workers of the same build.
pub fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Whether this process, and what it starts, gets memory in large pages. They make large queries quicker, and a program that holds many
/// small things a fifth larger.
pub fn large_pages(wanted: bool) {
    // Only a matter of speed and size: a system that refuses loses nothing else.
    nix::sys::prctl::set_thp_disable(!wanted).ok();
}

/// How many threads this machine runs at once; 1 if it does not say.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of memory of this machine; 4 GiB if it does not say. A limit of the control group counts.
pub fn memory_bytes() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    });
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    match (total, limit) {
        (Some(total), Some(limit)) => total.min(limit),
        (Some(bytes), None) | (None, Some(bytes)) => bytes,
        (None, None) => 4 << 30,
    }
}

/// A number that no other start of the program shares: the seed of ids.
pub fn seed() -> u64 {
    // The standard library seeds its hash maps from the system's source of randomness.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_i64(super::clock::now());
    hasher.finish()
}
