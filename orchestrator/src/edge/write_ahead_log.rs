//! The write-ahead log of the state: small, unless some program reads the state and does not end. It keeps what was written
//! since from being moved into the database, and the log grows until the disk is full.

use std::path::PathBuf;

use state::event::Micros;

use super::folder::StateFolder;

/// A log that is larger has a reader that does not end: 16 MB are moved at a time, and 64 MB are kept.
const LARGE: u64 = 256 << 20;
/// How often it is looked at.
const EVERY: Micros = 10_000_000;

/// Looks at the log now and then, and says once that it is large, and once that it is not any more.
pub(super) struct LogWatch {
    path: PathBuf,
    limit: u64,
    next: Micros,
    large: bool,
}

/// What is to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Large(u64),
    SmallAgain,
}

/// Whether the log is larger than it should be.
pub fn is_large(folder: &StateFolder) -> bool {
    bytes(&folder.write_ahead_log()) > LARGE
}

fn bytes(path: &PathBuf) -> u64 {
    std::fs::metadata(path).map_or(0, |log| log.len())
}

impl LogWatch {
    pub(super) fn new(folder: &StateFolder) -> Self {
        Self {
            path: folder.write_ahead_log(),
            limit: LARGE,
            next: Micros::MIN,
            large: false,
        }
    }

    /// To be called after commits: only they make it grow.
    pub(super) fn look(&mut self, at: Micros) {
        match self.word(at) {
            Some(Word::Large(bytes)) => tracing::warn!(
                megabytes = bytes >> 20,
                file = %self.path.display(),
                "the write-ahead log of the state is large: some program reads the state and does not end; `fuser` says which"
            ),
            Some(Word::SmallAgain) => tracing::info!("the write-ahead log of the state is small again"),
            None => {}
        }
    }

    fn word(&mut self, at: Micros) -> Option<Word> {
        if at < self.next {
            return None;
        }
        self.next = at + EVERY;
        let bytes = bytes(&self.path);
        let large = bytes > self.limit;
        let changed = std::mem::replace(&mut self.large, large) != large;
        changed.then_some(if large { Word::Large(bytes) } else { Word::SmallAgain })
    }
}

#[cfg(test)]
mod tests {
    use state::event::{Event, OwnerMode, Recorded};
    use state::sqlite::{OpenMode, Store};

    use super::super::folder::ProjectRoot;
    use super::*;

    #[test]
    fn it_is_said_once_that_it_is_large_and_once_that_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = StateFolder::of(&ProjectRoot::production(folder.path()));
        std::fs::create_dir_all(folder.path()).unwrap();
        let mut store = Store::open(&folder.database(), OpenMode::Writer).unwrap();
        // Making the tables was written to it already.
        let limit = bytes(&folder.write_ahead_log()) + 50_000;
        let mut watch = LogWatch {
            limit,
            ..LogWatch::new(&folder)
        };
        assert_eq!(watch.word(0), None);
        let started = |at| Recorded {
            at,
            event: Event::Started {
                boot: "boot".repeat(200),
                mode: OwnerMode::Daemon,
            },
        };
        let events: Vec<Recorded> = (0..200).map(started).collect();
        store.commit(&events).unwrap();
        // Not before its time.
        assert_eq!(watch.word(1), None);
        assert!(matches!(watch.word(EVERY), Some(Word::Large(bytes)) if bytes > limit));
        assert_eq!(watch.word(2 * EVERY), None);
        assert!(!is_large(&folder));
        store.close().unwrap();
        assert_eq!(watch.word(3 * EVERY), Some(Word::SmallAgain));
        assert_eq!(watch.word(4 * EVERY), None);
    }
}
