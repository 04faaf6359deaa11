//! Entry point; hands over to the command line and does nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    orchestrator::cli::main()
}
