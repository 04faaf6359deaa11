//! A disk of a few megabytes that really runs full.
//!
//! Who may mount file systems gets a `tmpfs` of that size. Elsewhere one is mounted in a user namespace, which a process
//! keeps open and in which the program runs. Where that is forbidden too, no file may grow beyond the size: what a program
//! meets then is another error with the same meaning.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

/// A folder with little room.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
    kind: Kind,
    megabytes: AtomicU64,
}

#[derive(Debug)]
enum Kind {
    /// A file system of its own.
    Mounted,
    /// One that only the processes in a namespace see.
    InNamespace(Child),
    /// No file may be larger.
    LargestFile,
}

impl SmallDisk {
    /// A disk of so many megabytes (10^6 bytes).
    pub fn new(megabytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let kind = mount(folder.path(), megabytes)
            .or_else(|| mount_in_namespace(folder.path(), megabytes))
            .unwrap_or(Kind::LargestFile);
        Self {
            folder,
            kind,
            megabytes: AtomicU64::new(megabytes),
        }
    }

    /// Where the program finds it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where this process finds it.
    pub fn own_path(&self) -> PathBuf {
        match &self.kind {
            Kind::Mounted | Kind::LargestFile => self.folder.path().to_owned(),
            Kind::InNamespace(holder) => {
                let inside = self
                    .folder
                    .path()
                    .strip_prefix("/")
                    .expect("temporary folders are absolute");
                PathBuf::from(format!("/proc/{}/root", holder.id())).join(inside)
            }
        }
    }

    /// Whether the whole disk can be filled: a limit on files alone leaves room for more files.
    pub fn can_be_filled(&self) -> bool {
        !matches!(self.kind, Kind::LargestFile)
    }

    /// Gives it more room.
    pub fn grow_to(&self, megabytes: u64) {
        self.megabytes.store(megabytes, Ordering::Relaxed);
        let options = format!("remount,size={megabytes}000000");
        let mut command = match &self.kind {
            Kind::Mounted => Command::new("mount"),
            Kind::InNamespace(holder) => {
                let mut command = enter(holder);
                command.arg("mount");
                command
            }
            Kind::LargestFile => return,
        };
        let done = command.args(["-o", &options]).arg(self.path()).status();
        assert!(done.expect("mount starts").success(), "a tmpfs can be made larger");
    }

    /// Writes a file until nothing more fits, and gives back its path.
    pub fn fill(&self) -> PathBuf {
        let path = self.own_path().join("ballast");
        let mut file = fs::File::create(&path).expect("an empty file fits");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        path
    }

    /// A command that runs `program` with this disk before its eyes.
    pub(super) fn command(&self, program: &Path) -> Command {
        match &self.kind {
            Kind::Mounted => Command::new(program),
            Kind::InNamespace(holder) => {
                let mut command = enter(holder);
                command.arg(program);
                command
            }
            Kind::LargestFile => {
                // In blocks of 512 bytes; the signal that comes with the error would end the program.
                let blocks = self.megabytes.load(Ordering::Relaxed) * 1_000_000 / 512;
                let mut command = Command::new("sh");
                command
                    .arg("-c")
                    .arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""))
                    .arg(program);
                command
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Mounted => {
                // Lazily: a process that is just ending may still be there.
                Command::new("umount").arg("-l").arg(self.folder.path()).status().ok();
            }
            Kind::InNamespace(holder) => {
                holder.kill().ok();
                holder.wait().ok();
            }
            Kind::LargestFile => {}
        }
    }
}

fn mount(folder: &Path, megabytes: u64) -> Option<Kind> {
    let options = format!("size={megabytes}000000");
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder);
    let done = command.stderr(Stdio::null()).status().ok()?;
    done.success().then_some(Kind::Mounted)
}

fn mount_in_namespace(folder: &Path, megabytes: u64) -> Option<Kind> {
    let script = format!("mount -t tmpfs -o size={megabytes}000000 tmpfs \"$0\" && echo mounted && exec cat");
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut holder = command.spawn().ok()?;
    let mut said = String::new();
    let output = holder.stdout.take().expect("it was asked for");
    let mounted = BufReader::new(output).read_line(&mut said).is_ok() && said == "mounted\n";
    if !mounted {
        holder.kill().ok();
        holder.wait().ok();
        return None;
    }
    Some(Kind::InNamespace(holder))
}

fn enter(holder: &Child) -> Command {
    let mut command = Command::new("nsenter");
    command
        .args(["--user", "--mount", "--preserve-credentials", "--target"])
        .arg(holder.id().to_string())
        .arg("--");
    command
}
