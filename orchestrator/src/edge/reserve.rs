//! Some space that is kept for a full disk: given up so that how steps under way end can still be stored, and taken again when
//! there is room.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use state::event::{Micros, OwnerMode};

use super::folder::StateFolder;

/// Bytes in reserve, where the disk has many.
const BYTES: u64 = 16 << 20;
/// On a small disk, this part of what is free.
const PART: u64 = 16;
/// How long it takes from giving up to the next try to take it again.
const AGAIN: Micros = 60_000_000;

/// The file that takes up the space.
pub(super) struct Reserve {
    path: PathBuf,
    /// Only a daemon keeps one: it is the one that stays.
    daemon: bool,
    held: bool,
    next: Micros,
}

impl Reserve {
    /// Takes the space, if there is any to spare.
    pub(super) fn new(folder: &StateFolder, mode: OwnerMode) -> Self {
        let mut reserve = Self {
            path: folder.reserve(),
            daemon: mode == OwnerMode::Daemon,
            held: false,
            next: Micros::MIN,
        };
        reserve.fill_up(0);
        reserve
    }

    /// Takes the space again after it was given up, if there is any to spare now.
    pub(super) fn fill_up(&mut self, at: Micros) {
        if !self.daemon || self.held || at < self.next {
            return;
        }
        self.next = at + AGAIN;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Ok(disk) = statvfs(folder) else { return };
        let free = (disk.blocks_available() as u64).saturating_mul(disk.fragment_size() as u64);
        let bytes = BYTES.min(free / PART);
        if std::fs::metadata(&self.path).is_ok_and(|file| file.len() >= bytes) {
            self.held = true;
            return;
        }
        match self.write(bytes) {
            Ok(()) => self.held = true,
            Err(error) => {
                tracing::debug!(%error, "no space can be kept in reserve now");
                std::fs::remove_file(&self.path).ok();
            }
        }
    }

    /// Zeros and not a hole, which would take up nothing.
    fn write(&self, bytes: u64) -> std::io::Result<()> {
        let mut file = File::create(&self.path)?;
        let zeros = vec![0; 1 << 16];
        let mut left = bytes as usize;
        while left > 0 {
            let part = left.min(zeros.len());
            file.write_all(&zeros[..part])?;
            left -= part;
        }
        Ok(())
    }

    /// Gives the space up. `false`: there was none, or it was given up already.
    pub(super) fn give_up(&mut self) -> bool {
        std::mem::take(&mut self.held) && std::fs::remove_file(&self.path).is_ok()
    }
}
