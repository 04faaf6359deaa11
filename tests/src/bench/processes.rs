//! A program under measurement: its time, the memory of it and its children, and its processor time.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark starts programs and reads the clock"
)]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::BenchError;

/// What one run of a program cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Wall time in seconds.
    pub seconds: f64,
    /// Largest sum of proportional set sizes over its process tree, in MB (1e6 bytes), sampled 20 times a second.
    pub peak_mb: f64,
}

/// A `millpond` command on a project.
pub(super) fn millpond(project: impl AsRef<Path>, arguments: &[&str]) -> Command {
    let mut command = Command::new(crate::program::program());
    command.arg("-C").arg(project.as_ref()).args(arguments);
    command
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end; an exit code other than 0 is an error with what it said.
pub(super) fn cost(mut command: Command) -> Result<Cost, BenchError> {
    let started = Instant::now();
    let child = command.spawn()?;
    let sampler = Sampler::start(child.id());
    let output = child.wait_with_output()?;
    let seconds = started.elapsed().as_secs_f64();
    let peak_mb = sampler.stop();
    succeeded(&command, &output)?;
    Ok(Cost { seconds, peak_mb })
}

fn succeeded(command: &Command, output: &Output) -> Result<(), BenchError> {
    if !output.status.success() {
        return Err(format!(
            "{command:?} ended with {}: {}",
            output.status,
            last_lines(&String::from_utf8_lossy(&output.stderr))
        )
        .into());
    }
    Ok(())
}

/// The end of what a program said: its summary stands there.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

/// Seconds of a command, which nobody watches meanwhile: whoever counts the pages of a process holds it up.
pub(super) fn seconds(mut command: Command) -> Result<f64, BenchError> {
    let started = Instant::now();
    let output = command.output()?;
    let seconds = started.elapsed().as_secs_f64();
    succeeded(&command, &output)?;
    Ok(seconds)
}

/// What a sync takes longer on the disk that [`on_a_slow_disk`] pretends.
pub(super) const SLOWER: Duration = Duration::from_millis(4);

/// The same command with every sync of it and of what it starts made so much longer, by `strace`, which has to be installed: a disk
/// that syncs at the speed of one that is really there, on a machine whose disk does not. `strace` itself takes longer than that for each
/// program that is started, so two runs are to be compared, one of them hardly slowed.
pub(super) fn on_a_slow_disk(command: &Command, longer: Duration) -> Command {
    let mut slow = Command::new("strace");
    slow.args([
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
        "-e",
    ])
    .arg(format!("inject=fsync,fdatasync:delay_exit={}", longer.as_micros()))
    .arg(command.get_program())
    .args(command.get_args())
    .env("NO_COLOR", "1")
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .stderr(Stdio::piped());
    slow
}

/// Seconds of starting a program that does nothing and waiting for it, so many times by so many threads at once, for each.
pub(super) fn one_program(times: usize, threads: usize) -> Result<f64, BenchError> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let run = || (0..times / threads).try_for_each(|_| Command::new("/bin/true").status().map(drop));
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        all.into_iter()
            .try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    Ok(started.elapsed().as_secs_f64() / (times / threads * threads) as f64)
}

/// Watches a process tree from a thread of its own.
struct Sampler {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Sampler {
    fn start(root: u32) -> Self {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, most) = (Arc::clone(&stop), Arc::clone(&peak));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                most.fetch_max(
                    tree(root).iter().map(|pid| proportional_bytes(*pid)).sum(),
                    Ordering::Relaxed,
                );
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { stop, peak, thread }
    }

    fn stop(self) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sampler does not panic");
        self.peak.load(Ordering::Relaxed) as f64 / 1e6
    }
}

/// A process and all that descends from it.
pub(super) fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
        }
    }
    found
}

/// Memory of a process, shared pages divided among those that share them; 0 once it is gone.
pub(super) fn proportional_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Processor seconds, user and system, that a process has used.
pub(super) fn processor_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; fields are counted after it.
    let fields: Vec<&str> = text
        .rsplit_once(')')
        .map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // USER_HZ: the kernel tells processor time in hundredths of a second on every Linux.
    (ticks(11) + ticks(12)) / 100.0
}

/// Ends a daemon politely and waits for it.
pub(super) fn stop(mut child: Child) -> Result<(), BenchError> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
    child.wait()?;
    Ok(())
}

/// Median seconds of appending 4 KiB to a file and syncing it, in this folder: what one durable step cannot go below.
pub(super) fn one_fsync(folder: &Path) -> Result<f64, BenchError> {
    use std::io::Write;
    let mut file = std::fs::File::create(folder.join("fsync-probe"))?;
    let mut each = Vec::new();
    for _ in 0..101 {
        let started = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_all()?;
        each.push(started.elapsed().as_secs_f64());
    }
    std::fs::remove_file(folder.join("fsync-probe"))?;
    Ok(super::median(each))
}
