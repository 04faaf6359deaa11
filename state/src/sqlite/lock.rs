//! One owner per state folder: an exclusive lock on `owner.lock`, which also says who the owner is.
//!
//! The lock is on a file of its own, never on the database: POSIX drops a process's locks on a file when *any* handle to
//! it is closed. The kernel drops it with the process, however that ends, so nothing stale is ever left to clean up.
//! Children do not inherit the handle (it is opened close-on-exec).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StateError;

const FILE: &str = "owner.lock";

/// Who owns a state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Where it serves, once it does: `http://127.0.0.1:4400`.
    pub url: Option<String>,
    /// Identity of this start, as in `Event::Started`.
    pub boot: String,
}

/// The right to write a state folder; released when dropped.
#[derive(Debug)]
pub struct OwnerLock {
    file: File,
    path: PathBuf,
}

impl OwnerLock {
    /// Takes the folder (created if missing), or says at once who has it: [`StateError::Owned`].
    pub fn acquire(folder: &Path, owner: &Owner) -> Result<Self, StateError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StateError::Io { action, path, source }
        };
        std::fs::create_dir_all(folder).map_err(io("create", folder))?;
        let path = folder.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open", &path))?;
        // `Owner::of` holds a shared lock for an instant. A shared lock that succeeds here proves that no owner is there.
        for _ in 0..10_000 {
            match file.try_lock() {
                Ok(()) => {
                    let mut lock = Self { file, path };
                    lock.announce(owner)?;
                    return Ok(lock);
                }
                Err(TryLockError::WouldBlock) => match file.try_lock_shared() {
                    Ok(()) => {
                        file.unlock().map_err(io("unlock", &path))?;
                        std::thread::yield_now();
                    }
                    Err(TryLockError::WouldBlock) => break,
                    Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
                },
                Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
            }
        }
        let owner = read_owner(&file);
        Err(StateError::Owned {
            folder: folder.to_owned(),
            pid: owner.as_ref().map(|owner| owner.pid),
            url: owner.and_then(|owner| owner.url),
        })
    }

    /// Writes who the owner is; again when its address is known.
    pub fn announce(&mut self, owner: &Owner) -> Result<(), StateError> {
        let text = serde_json::to_vec(owner).expect("three plain fields are always JSON");
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&text)
        };
        write(&mut self.file).map_err(|source| StateError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }
}

impl Owner {
    /// The process that owns `folder` now, if one does. A file left by a process that ended is no owner.
    pub fn of(folder: &Path) -> Option<Self> {
        let file = File::open(folder.join(FILE)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read_owner(&file),
            // Not owned (the lock ends with `file`), or not lockable at all.
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

fn read_owner(mut file: &File) -> Option<Owner> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("new/.millpond");
        let mut owner = Owner {
            pid: 41,
            url: None,
            boot: "one".into(),
        };
        assert_eq!(Owner::of(&state), None);
        let mut lock = OwnerLock::acquire(&state, &owner).unwrap();
        owner.url = Some("http://127.0.0.1:4400".into());
        lock.announce(&owner).unwrap();
        assert_eq!(Owner::of(&state), Some(owner.clone()));

        let second = Owner {
            pid: 42,
            url: None,
            boot: "two".into(),
        };
        let refused = OwnerLock::acquire(&state, &second).unwrap_err();
        assert!(
            refused.to_string().contains("process 41 at http://127.0.0.1:4400"),
            "{refused}"
        );

        drop(lock);
        assert_eq!(Owner::of(&state), None);
        drop(OwnerLock::acquire(&state, &second).unwrap());
    }

    #[test]
    fn of_many_that_start_at_once_exactly_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let gate = std::sync::Barrier::new(20);
            let locks: Vec<_> = std::thread::scope(|scope| {
                let started: Vec<_> = (0..20)
                    .map(|pid| {
                        let (gate, folder) = (&gate, folder.path());
                        scope.spawn(move || {
                            gate.wait();
                            OwnerLock::acquire(
                                folder,
                                &Owner {
                                    pid,
                                    url: None,
                                    boot: String::new(),
                                },
                            )
                        })
                    })
                    .collect();
                started.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(locks.iter().filter(|lock| lock.is_ok()).count(), 1, "round {round}");
        }
    }
}
