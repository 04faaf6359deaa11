//! `millpond init`: a project that runs.

use std::path::{Path, PathBuf};

use clap::Args;

use super::look::Place;
use super::terminal::Terminal;
use super::{Exit, Stop};

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// Make a project that runs.
///
/// Without --example: a small project with one raw file, one ingest and one query, to edit.
#[derive(Args)]
pub struct Init {
    /// The folder to make it in; by default one named after the example, or the current folder.
    folder: Option<PathBuf>,
    /// Start from a whole example (`flights`).
    #[arg(long, value_name = "NAME")]
    example: Option<String>,
}

/// The smallest project that shows the way: what to edit first.
const STARTER: &[(&str, &str)] = &[
    (
        "millpond.toml",
        r#"[project]
name     = "starter"
timezone = "UTC"

[lakehouse]
warehouse = "lake"
"#,
    ),
    (
        "assets/orders.toml",
        r#"[asset.bronze.orders]
description = "Orders, as they come"
kind        = "ingest"
from.files  = { path = "landing/orders*.csv" }
checks      = [{ not_null = ["order_id"] }, { unique = ["order_id"] }]

[asset.gold.orders_per_day]
description = "How many orders, and how much, on each day"
kind        = "sql"
sql         = """
SELECT ordered_on, count(*) AS orders, sum(amount) AS amount
FROM bronze.orders
GROUP BY ordered_on
ORDER BY ordered_on
"""
checks      = [{ row_count = { min = 1 } }]
"#,
    ),
    (
        "landing/orders.csv",
        "order_id,ordered_on,amount\n1,2026-01-01,12.50\n2,2026-01-01,7.00\n3,2026-01-02,30.25\n",
    ),
];

/// What is made, and not declared.
const IGNORED: &str =
    "# What Millpond keeps of this project: its state, its logs and its tables.\n/.millpond/\n/lake/\n";

impl Init {
    pub fn run(self, place: &Place, terminal: &Terminal) -> Result<Exit, Stop> {
        let folder = match (&self.folder, &self.example) {
            (Some(folder), _) => folder.clone(),
            (None, Some(example)) => place.folder().join(example),
            (None, None) => place.folder().to_owned(),
        };
        let made = match &self.example {
            Some(example) => make_example(example, &folder)?,
            None => make(&folder, STARTER.iter().map(|(path, text)| (*path, text.as_bytes())))?,
        };
        if terminal.json() {
            terminal.answer(&serde_json::json!({ "folder": folder, "files": made }));
        } else {
            terminal.say(format!("made a project of {made} files in `{}`", folder.display()));
            terminal.say(format!(
                "  cd {} && millpond materialize && millpond up",
                folder.display()
            ));
        }
        Ok(Exit::Done)
    }
}

/// Makes the example's project in `folder`; says how many files.
pub fn make_example(example: &str, folder: &Path) -> Result<usize, Stop> {
    let Some((_, files)) = EXAMPLES.iter().find(|(name, _)| *name == example) else {
        let names: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        return Err(Stop::not_found(format!("there is no example `{example}`"))
            .with_help(format!("there is {}", names.join(", "))));
    };
    make(folder, files.iter().copied())
}

fn make<'a>(folder: &Path, files: impl Iterator<Item = (&'a str, &'a [u8])> + Clone) -> Result<usize, Stop> {
    for (path, _) in files.clone() {
        if folder.join(path).exists() {
            return Err(Stop::new(
                Exit::Usage,
                format!(
                    "`{}` is there already; nothing was written",
                    folder.join(path).display()
                ),
            )
            .with_help("choose an empty folder"));
        }
    }
    let mut made = 0;
    for (path, bytes) in files {
        let path = folder.join(path);
        let write = || {
            std::fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
            std::fs::write(&path, bytes)
        };
        write()
            .map_err(|error: std::io::Error| Stop::broken(format!("failed to write `{}`: {error}", path.display())))?;
        made += 1;
    }
    // One that is there is somebody's own.
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, IGNORED)
            .map_err(|error| Stop::broken(format!("failed to write `{}`: {error}", ignore.display())))?;
        made += 1;
    }
    Ok(made)
}
