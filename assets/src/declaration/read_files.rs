//! Files that declarations name, each read once.

use std::collections::HashMap;

use crate::files::ProjectFiles;
use crate::span::SourceId;
use crate::sql::Query;

/// What was read so far.
#[derive(Default)]
pub(crate) struct ReadFiles {
    by_path: HashMap<String, SourceId>,
    /// Queries that were parsed ahead, until their asset takes them.
    parsed: HashMap<SourceId, Query>,
    /// Paths by extension, for words on missing files.
    listed: HashMap<String, Vec<String>>,
}

impl ReadFiles {
    /// The file at a path of the project, if it was read.
    pub(crate) fn get(&self, path: &str) -> Option<SourceId> {
        self.by_path.get(path).copied()
    }

    /// Notes a file that was read.
    pub(crate) fn insert(&mut self, path: String, source: SourceId) {
        self.by_path.insert(path, source);
    }

    /// The query of a file, if it was parsed ahead and not taken yet.
    pub(crate) fn take(&mut self, source: SourceId) -> Option<Query> {
        self.parsed.remove(&source)
    }

    /// Notes the query of a file.
    pub(crate) fn keep(&mut self, source: SourceId, query: Query) {
        self.parsed.insert(source, query);
    }

    /// Every file of the project with this extension. The folders are looked through once.
    pub(crate) fn like(&mut self, extension: &str, files: &dyn ProjectFiles) -> &[String] {
        self.listed
            .entry(extension.to_owned())
            .or_insert_with(|| files.list("", extension).unwrap_or_default())
    }
}
