//! The scratch folder of a worker, between two orders.
//!
//! Making and removing folders and files is most of what a small step would do, so the folders that the next order needs again
//! stay, empty. What a killed worker left in its folder goes with the folder, which its owner removes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where programs of `command` assets find what is theirs.
const COMMAND: &str = "command";
/// Where they leave their rows, below it.
const OUTPUT: &str = "output";

/// The folder of programs, and in it the one for their rows. Nothing of an earlier program is left in them.
pub(crate) fn for_a_program(scratch: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let folder = scratch.join(COMMAND);
    let output = folder.join(OUTPUT);
    match fs::symlink_metadata(&output) {
        Ok(found) if found.is_dir() => {
            remove_all_in(&folder, Some(OUTPUT))?;
            remove_all_in(&output, None)?;
        }
        _ => {
            remove(&folder)?;
            fs::create_dir_all(&output)?;
        }
    }
    Ok((folder, output))
}

/// Removes what an order left. A folder that is not there is as good as empty.
pub(super) fn clear(scratch: &Path) -> io::Result<()> {
    if scratch.as_os_str().is_empty() {
        return Ok(());
    }
    remove_all_in(scratch, Some(COMMAND))?;
    let folder = scratch.join(COMMAND);
    remove_all_in(&folder, Some(OUTPUT))?;
    remove_all_in(&folder.join(OUTPUT), None)
}

/// Removes everything in `folder` but the folder of the name `kept`.
fn remove_all_in(folder: &Path, kept: Option<&str>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !(kept.is_some_and(|kept| entry.file_name() == kept) && entry.file_type()?.is_dir()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file, a link itself, or a folder with all that is in it.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_an_order_left_goes_and_empty_folders_stay() {
        let scratch = tempfile::tempdir().unwrap();
        let (folder, output) = for_a_program(scratch.path()).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("kept"), "x").unwrap();
        fs::write(folder.join("messages.jsonl"), "x").unwrap();
        fs::create_dir_all(output.join("deep/er")).unwrap();
        fs::write(output.join("deep/er/a.parquet"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), output.join("link")).unwrap();
        fs::create_dir(scratch.path().join("spill")).unwrap();
        clear(scratch.path()).unwrap();
        assert_eq!(names(scratch.path()), ["command"]);
        assert_eq!(names(&folder), ["output"]);
        assert_eq!(names(&output), Vec::<String>::new());
        assert_eq!(
            names(elsewhere.path()),
            ["kept"],
            "a link is removed, not what it points to"
        );
    }

    #[test]
    fn a_program_that_put_a_link_where_its_folder_was_does_not_lead_the_next_one_astray() {
        let scratch = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("kept"), "x").unwrap();
        let (_, output) = for_a_program(scratch.path()).unwrap();
        fs::remove_dir(&output).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &output).unwrap();
        let (_, output) = for_a_program(scratch.path()).unwrap();
        assert!(fs::symlink_metadata(output).unwrap().is_dir());
        assert_eq!(names(elsewhere.path()), ["kept"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        clear(Path::new("/nowhere/at/all")).unwrap();
        clear(Path::new("")).unwrap();
    }
}
