//! `millpond schema`: what editors need to complete and check the TOML files.

use clap::{Args, ValueEnum};
use plugins::kind::KindSet;

use super::terminal::Terminal;
use super::{Exit, Stop};

/// Print the JSON Schema of the TOML files, for editors.
#[derive(Args)]
pub struct Schema {
    /// Which file it is for.
    #[arg(value_enum, default_value_t = File::Assets)]
    file: File,
}

#[derive(Clone, Copy, ValueEnum)]
enum File {
    /// millpond.toml
    Project,
    /// the files under assets/
    Assets,
}

impl Schema {
    pub fn run(self, terminal: &Terminal) -> Result<Exit, Stop> {
        let schema = match self.file {
            File::Project => assets::schema::project_schema(&KindSet::all()),
            File::Assets => assets::schema::asset_file_schema(&KindSet::all()),
        };
        terminal.say(serde_json::to_string_pretty(&schema).expect("a schema has a JSON form"));
        Ok(Exit::Done)
    }
}
