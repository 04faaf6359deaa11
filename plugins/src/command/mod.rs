//! The kind `command`: any program, over the Dagster Pipes protocol.
//!
//! The program is told of its step by a context in its environment (`protocol.rs`), finds its inputs as Parquet files, and leaves its rows as
//! Parquet files in its output folder. What it reports becomes metadata, checks and a data version; what it prints goes to the
//! step's log. A program that knows nothing of the protocol works too: its exit code decides.
//!
//! | file | |
//! |---|---|
//! | `process.rs` | the door to other programs; its implementation lives at the program's edge |
//! | `prepare.rs` | the folders, the context and the environment of one program |
//! | `supervise.rs` | start, follow, ask to stop, leave nobody behind |
//! | `lines.rs`, `tail.rs`, `session.rs` | output and messages |
//! | `output.rs` | files to rows |

mod compile;
mod lines;
mod materialize;
mod output;
mod prepare;
mod process;
mod protocol;
mod session;
mod spec;
mod supervise;
mod tail;

pub use compile::CommandConfig;
pub use process::{MARK_VARIABLE, Pipe, ProcessDoor, ProcessEnd, ProcessOrder, RunningProcess, Signal};

use assets::kind::{CompileContext, CompiledKind};
use assets::outcome::Failure;
use assets::table::{TableReader, TableSpec};
use async_trait::async_trait;

use crate::kind::{Kind, Output};
use crate::step_run::StepContext;

/// `kind = "command"`.
#[derive(Debug, Clone, Copy)]
pub struct Command;

#[async_trait]
impl Kind for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn doc(&self) -> &'static str {
        spec::SPEC.doc
    }

    fn spec(&self) -> &'static TableSpec {
        &spec::SPEC
    }

    fn compile(&self, table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
        compile::compile(table, context)
    }

    fn may_make_together(&self) -> bool {
        true
    }

    fn stops_itself(&self) -> bool {
        true
    }

    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure> {
        materialize::materialize(context).await
    }
}
