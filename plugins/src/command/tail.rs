//! Follows the messages file while the program writes it.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::session::Session;

/// Bytes of one message that are read; longer ones are skipped.
const MESSAGE_BYTES: usize = 8 * 1024 * 1024;

/// Reads what was added since the last call, line by line.
pub(super) struct Tail {
    path: PathBuf,
    offset: u64,
    partial: Vec<u8>,
    /// The rest of a line that is too long is passed over.
    skipping: bool,
}

impl Tail {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            offset: 0,
            partial: Vec::new(),
            skipping: false,
        }
    }

    /// Hands the lines that are complete to the session.
    pub(super) async fn read(&mut self, session: &mut Session) -> io::Result<()> {
        // Most programs report nothing, and make no file: nobody has to be asked on another thread for that.
        if !self.path.exists() {
            return Ok(());
        }
        let mut file = match File::open(&self.path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.offset)).await?;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return Ok(());
            }
            self.offset += read as u64;
            self.take(&chunk[..read], session);
        }
    }

    /// Reads the rest after the program has ended: a last line needs no line end.
    pub(super) async fn finish(mut self, session: &mut Session) -> io::Result<()> {
        self.read(session).await?;
        if !self.partial.is_empty() && !self.skipping {
            session.take(&String::from_utf8_lossy(&self.partial));
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], session: &mut Session) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ended = piece.ends_with(b"\n");
            if !self.skipping {
                self.partial.extend_from_slice(piece);
                if self.partial.len() > MESSAGE_BYTES {
                    session.skip(MESSAGE_BYTES);
                    self.partial = Vec::new();
                    self.skipping = true;
                } else if ended {
                    session.take(&String::from_utf8_lossy(&self.partial));
                    self.partial.clear();
                }
            }
            if ended {
                self.skipping = false;
            }
        }
    }
}
