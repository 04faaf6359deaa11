//! Puts the example projects into the program, so that `millpond init --example flights` needs nothing else.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script by its environment where to write"
)]
fn main() -> io::Result<()> {
    let examples = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?)
        .join("../examples")
        .canonicalize()?;
    println!("cargo::rerun-if-changed={}", examples.display());
    let mut code = String::from(
        "/// Every example: its name and its files, by path.\npub static EXAMPLES: &[(&str, &[(&str, &[u8])])] = &[\n",
    );
    let mut names: Vec<_> = fs::read_dir(&examples)?.collect::<Result<Vec<_>, _>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    for example in names
        .iter()
        .filter(|entry| entry.path().join("millpond.toml").is_file())
    {
        let mut files = Vec::new();
        walk(&example.path(), &mut files)?;
        files.sort();
        writeln!(code, "    ({:?}, &[", example.file_name().to_string_lossy()).expect("a string takes text");
        for file in files {
            let relative = file.strip_prefix(example.path()).expect("the walk stays inside");
            writeln!(
                code,
                "        ({:?}, include_bytes!({:?})),",
                relative.to_string_lossy(),
                file.to_string_lossy()
            )
            .expect("a string takes text");
        }
        code.push_str("    ]),\n");
    }
    code.push_str("];\n");
    fs::write(
        PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("examples.rs"),
        code,
    )
}

/// The files of an example, without what a run of it leaves behind.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') || name == "lake" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            println!("cargo::rerun-if-changed={}", entry.path().display());
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
