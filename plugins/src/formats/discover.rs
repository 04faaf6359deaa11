//! Finds the files that a pattern names.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use assets::pattern::{self, Segment, is_object};

use super::error::FormatError;
use super::objects::Objects;
use super::source::SourceFile;

/// Finds the regular files that match `pattern`, sorted by path.
///
/// The pattern is relative to `root`, or about objects (`s3://bucket/…`), and knows `*`, `?`, `[a-z]`, `[!a-z]`, `**` (any number of folders) and one
/// `{partition}`, which captures at least one letter inside one path segment as the partition key text. Names
/// that begin with a dot match only a pattern that begins with one. `**` does not follow links to folders, so it
/// cannot go in circles; a relative pattern never leads out of `root`, be it by `..` or by a link.
///
/// # Errors
/// [`FormatError::NoMatch`] names the nearest folder that exists and what it holds; [`FormatError::Pattern`] says
/// what is wrong with the pattern; [`FormatError::Io`] names a folder that cannot be listed.
pub fn discover(root: &Path, pattern: &str, objects: &Objects) -> Result<Vec<SourceFile>, FormatError> {
    if is_object(pattern) {
        return objects.discover(pattern);
    }
    let root = &std::path::absolute(root).map_err(|source| FormatError::Io {
        file: ".".to_owned(),
        source,
    })?;
    let fault = |reason: String| FormatError::Pattern {
        pattern: pattern.to_owned(),
        reason,
    };
    let segments = pattern::segments(pattern).map_err(fault)?;
    let absolute = pattern.starts_with('/');
    let base = if absolute { PathBuf::from("/") } else { root.to_owned() };
    let real_root = fs::canonicalize(&base).map_err(|source| FormatError::Io {
        file: shown(root, &base),
        source,
    })?;

    let mut found = Vec::new();
    Walk {
        root,
        found: &mut found,
    }
    .enter(&base, &segments, None)?;
    if found.is_empty() {
        return Err(no_match(root, &base, pattern, &segments));
    }
    if !absolute {
        for file in &found {
            let real = fs::canonicalize(&file.absolute).map_err(|error| file.io(error))?;
            if !real.starts_with(&real_root) {
                return Err(fault(format!(
                    "`{}` is a link out of the project, to `{}`; name that place by an absolute pattern",
                    file.path,
                    real.display()
                )));
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    // `**` beside a wildcard can reach one file in two ways.
    found.dedup_by(|one, other| one.path == other.path);
    Ok(found)
}

/// Whether a pattern can be used, without looking at any folder.
///
/// # Errors
/// [`FormatError::Pattern`] says what is wrong with it.
pub fn check_pattern(pattern: &str) -> Result<(), FormatError> {
    match pattern::check(pattern) {
        Ok(()) => Ok(()),
        Err(reason) => Err(FormatError::Pattern {
            pattern: pattern.to_owned(),
            reason,
        }),
    }
}

struct Walk<'a> {
    root: &'a Path,
    found: &'a mut Vec<SourceFile>,
}

impl Walk<'_> {
    fn enter(&mut self, folder: &Path, segments: &[Segment], partition: Option<&str>) -> Result<(), FormatError> {
        let Some((segment, rest)) = segments.split_first() else {
            return Ok(());
        };
        match segment {
            Segment::Literal(name) => self.take(folder.join(name), rest, partition),
            Segment::AnyFolders => {
                self.enter(folder, rest, partition)?;
                for name in self.names(folder)? {
                    let inside = folder.join(&name);
                    let is_folder = fs::symlink_metadata(&inside).is_ok_and(|metadata| metadata.is_dir());
                    if is_folder && segment.fits(&name).is_some() {
                        self.enter(&inside, segments, partition)?;
                    }
                }
                Ok(())
            }
            Segment::Wild(_) => {
                for name in self.names(folder)? {
                    if let Some(fit) = segment.fits(&name) {
                        self.take(folder.join(&name), rest, fit.partition.as_deref().or(partition))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes a path that fits so far: a file when the pattern ends here, a folder to go on in when it does not.
    fn take(&mut self, path: PathBuf, rest: &[Segment], partition: Option<&str>) -> Result<(), FormatError> {
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // Gone between listing and looking, or a link to nowhere: not a match.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(source) => {
                return Err(FormatError::Io {
                    file: shown(self.root, &path),
                    source,
                });
            }
        };
        if rest.is_empty() {
            if metadata.is_file() {
                let name = shown(self.root, &path);
                self.found.push(SourceFile::from_metadata(
                    path,
                    name,
                    &metadata,
                    partition.map(str::to_owned),
                ));
            }
            Ok(())
        } else if metadata.is_dir() {
            self.enter(&path, rest, partition)
        } else {
            Ok(())
        }
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>, FormatError> {
        match entry_names(folder) {
            Ok(names) => Ok(names),
            // Gone since its parent was listed.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            Err(source) => Err(FormatError::Io {
                file: shown(self.root, folder),
                source,
            }),
        }
    }
}

/// The names in a folder, sorted. Names that are not UTF-8 cannot be written in a pattern and are left out.
fn entry_names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A path as messages and provenance show it: relative to the root with `/` where it lies inside.
fn shown(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let text = inside.to_string_lossy();
    let text = if std::path::MAIN_SEPARATOR == '/' {
        text.into_owned()
    } else {
        text.replace('\\', "/")
    };
    if text.is_empty() { ".".to_owned() } else { text }
}

fn no_match(root: &Path, base: &Path, pattern: &str, segments: &[Segment]) -> FormatError {
    const SHOWN: usize = 6;
    let mut nearest = base.to_owned();
    for segment in &segments[..segments.len() - 1] {
        let Segment::Literal(name) = segment else { break };
        let next = nearest.join(name);
        if !next.is_dir() {
            break;
        }
        nearest = next;
    }
    let holds = match entry_names(&nearest) {
        Err(error) => format!("cannot be listed: {error}"),
        Ok(names) if names.is_empty() => "is empty".to_owned(),
        Ok(names) => {
            let more = if names.len() > SHOWN { ", …" } else { "" };
            let entries = if names.len() == 1 {
                "1 entry".to_owned()
            } else {
                format!("{} entries", names.len())
            };
            format!("holds {entries}: {}{more}", names[..names.len().min(SHOWN)].join(", "))
        }
    };
    FormatError::NoMatch {
        pattern: pattern.to_owned(),
        nearest: shown(root, &nearest),
        holds,
    }
}
