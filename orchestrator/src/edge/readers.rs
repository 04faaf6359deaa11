//! Who reads tables outside of all runs: queries of the command line and the console, differences, replays. Each has a folder in
//! `.millpond/queries` and in it a file that it holds locked, with its process and since when. The lock goes with the process, however
//! that ends, so nobody has to be told; maintenance looks before it removes a file, and clears away what dead readers left.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use state::event::Micros;

use super::clock;
use super::folder::StateFolder;
use super::queried::Reads;

/// The file of a reader.
const FILE: &str = "reading";

/// What readers need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// What was current then, and all that came after it. 0 is everything there is.
    pub since: Micros,
    /// Whose process that is, for people.
    pub process: String,
}

/// Says that what reads from now on reads in the name of this folder, until the file is closed.
pub(super) fn tell(folder: &Path, reads: Reads) -> io::Result<File> {
    // It is locked before it can be found.
    let unfinished = folder.join("reading.unfinished");
    let mut file = File::create(&unfinished)?;
    file.lock()?;
    let since = match reads {
        Reads::Newest => clock::now(),
        Reads::Old => 0,
    };
    file.write_all(format!("{since} {}", std::process::id()).as_bytes())?;
    fs::rename(unfinished, folder.join(FILE))?;
    Ok(file)
}

/// What those who read at the moment need, of the project and its environments: that of whoever needs the oldest. What cannot be
/// found out counts as a reader of everything.
///
/// # Errors
/// The readers cannot be listed.
pub fn needed(folder: &StateFolder) -> io::Result<Option<Needed>> {
    let mut oldest: Option<Needed> = None;
    let mut places = vec![folder.queries()];
    for environment in listed(&folder.environments())? {
        places.push(environment.join("queries"));
    }
    for place in places {
        for reader in listed(&place)? {
            let Some(needed) = look(&reader)? else { continue };
            if oldest.as_ref().is_none_or(|oldest| needed.since < oldest.since) {
                oldest = Some(needed);
            }
        }
    }
    Ok(oldest)
}

fn listed(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What one reader needs; the folder of a dead one is removed.
fn look(folder: &Path) -> io::Result<Option<Needed>> {
    let file = match File::open(folder.join(FILE)) {
        Ok(file) => file,
        // It has just begun and has looked up nothing, reads nothing, or is over.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {
            fs::remove_dir_all(folder).ok();
            Ok(None)
        }
        Err(TryLockError::WouldBlock) => {
            let text = io::read_to_string(&file)?;
            let (since, process) = text.split_once(' ').unwrap_or(("", "unknown"));
            // One that began later than now: the clock was set back, and what was current then may be told as older.
            let since = since.parse().ok().filter(|since| *since <= clock::now());
            Ok(Some(Needed {
                since: since.unwrap_or(0),
                process: process.to_owned(),
            }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::ProjectRoot;
    use super::super::queried::Scratch;
    use super::*;

    #[test]
    fn whoever_needs_the_oldest_is_told_until_it_is_over() {
        let project = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(&ProjectRoot::production(project.path()));
        assert_eq!(needed(&folder).unwrap(), None);
        let before = clock::now();
        let newest = Scratch::reading(&folder, Reads::Newest)
            .unwrap()
            .expect("there is room");
        let spills = Scratch::new(&folder).unwrap().expect("there is room");
        let found = needed(&folder).unwrap().expect("someone reads");
        assert!(found.since >= before && found.since <= clock::now(), "{found:?}");
        assert_eq!(found.process, std::process::id().to_string());
        let environment = StateFolder::of(&ProjectRoot::new(
            project.path().to_owned(),
            Some("pr-1".parse().unwrap()),
        ));
        let old = Scratch::reading(&environment, Reads::Old)
            .unwrap()
            .expect("there is room");
        assert_eq!(needed(&folder).unwrap().map(|needed| needed.since), Some(0));
        drop(old);
        assert!(needed(&folder).unwrap().expect("one still reads").since >= before);
        drop(newest);
        assert_eq!(needed(&folder).unwrap(), None);
        assert!(spills.path().is_dir(), "what nobody locked is let alone");
    }

    #[test]
    fn whoever_began_before_the_clock_was_set_back_needs_everything() {
        let project = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(&ProjectRoot::production(project.path()));
        let reading = Scratch::reading(&folder, Reads::Newest).unwrap().unwrap();
        let later = format!("{} 1", clock::now() + 3_600_000_000);
        fs::write(reading.path().join(FILE), later).unwrap();
        assert_eq!(needed(&folder).unwrap().map(|needed| needed.since), Some(0));
    }

    #[test]
    fn what_a_dead_reader_left_is_cleared_away() {
        let project = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(&ProjectRoot::production(project.path()));
        let dead = folder.queries().join("1-2-3");
        fs::create_dir_all(&dead).unwrap();
        fs::write(dead.join(FILE), "0 1").unwrap();
        fs::write(dead.join("spilled"), "rows").unwrap();
        assert_eq!(needed(&folder).unwrap(), None);
        assert!(!dead.exists());
    }
}
