//! `bench --python PATH [--divide N] [--minutes N] [NAME…]`: measures Millpond beside its peers, one line per benchmark.
//!
//! PATH is a Python with the peers' packages (see each benchmark). `--divide 10` makes a tenth of the rows, to try things
//! out; `--minutes 120` is how long the soak goes on. Without names all benchmarks run but those of [`BY_NAME`]. Exit code 1 when a goal is missed, 2 when a benchmark cannot run.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

use millpond_tests::bench::{BENCHMARKS, BY_NAME, Settings, clean_up};

/// That of the program: some benchmarks call its parts in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut settings = Settings {
        python: PathBuf::from("python3"),
        divide: 1,
        threads: 2,
        minutes: 120,
    };
    let mut names: Vec<String> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--python" => settings.python = value().into(),
            "--divide" => match value().parse() {
                Ok(divide) if divide > 0 => settings.divide = divide,
                _ => return refuse("--divide takes a whole number above zero"),
            },
            "--minutes" => match value().parse() {
                Ok(minutes) if minutes > 0 => settings.minutes = minutes,
                _ => return refuse("--minutes takes a whole number above zero"),
            },
            name if BENCHMARKS.iter().any(|benchmark| benchmark.name == name) => names.push(argument),
            other => {
                let known: Vec<&str> = BENCHMARKS.iter().map(|benchmark| benchmark.name).collect();
                return refuse(&format!(
                    "there is no benchmark {other:?}; there are {}",
                    known.join(", ")
                ));
            }
        }
    }
    let code = run(&settings, &names);
    clean_up();
    code
}

fn run(settings: &Settings, names: &[String]) -> ExitCode {
    let mut missed = false;
    for benchmark in BENCHMARKS.iter().filter(|b| match names.is_empty() {
        true => !BY_NAME.contains(&b.name),
        false => names.iter().any(|name| name == b.name),
    }) {
        match (benchmark.run)(settings) {
            Ok(measured) => {
                missed |= measured.ratio() > benchmark.goal;
                println!("{}", benchmark.line(&measured));
            }
            Err(error) => return refuse(&format!("{}: {error:#}", benchmark.name)),
        }
    }
    ExitCode::from(u8::from(missed))
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("bench: {message}");
    ExitCode::from(2)
}
