//! Where parsed queries are kept between two starts of the program (see [`assets::sql::QueryCache`]). Nothing depends on the
//! file: without it, or if it cannot be written, every query is parsed.

use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use assets::sql::QueryCache;

use super::environment;
use super::folder::{ProjectRoot, StateFolder};

/// The cache of a project while the project is read.
pub struct KeptQueryCache {
    /// What the loader asks.
    pub queries: QueryCache,
    /// Where it writes, until it is known to be whole.
    new: PathBuf,
}

impl KeptQueryCache {
    /// What the last start of this same program has kept.
    pub fn open(root: &ProjectRoot) -> Self {
        let file = StateFolder::query_cache(root);
        let new = file.with_file_name(format!("queries.{}", std::process::id()));
        let Some(program) = this_program() else {
            let queries = QueryCache::default();
            return Self { queries, new };
        };
        let text = fs::read_to_string(file).unwrap_or_default();
        let written = new.clone();
        let queries = QueryCache::new(text, &program, move || {
            fs::create_dir_all(written.parent().expect("the cache is in a folder"))?;
            Ok(Box::new(BufWriter::new(File::create(written)?)))
        });
        Self { queries, new }
    }

    /// Keeps what is new, if it is worth it. A reader sees the old file or the new one; it need not outlast a power cut, for its lines
    /// tell whether they are whole.
    pub fn keep(self, root: &ProjectRoot) {
        let file = StateFolder::query_cache(root);
        let kept = match self.queries.finish() {
            Ok(false) => return,
            Ok(true) => fs::rename(&self.new, &file),
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            fs::remove_file(&self.new).ok();
            tracing::debug!(file = %file.display(), %error, "failed to keep the parsed queries");
        }
    }
}

/// This very build: another one may read a text otherwise.
fn this_program() -> Option<String> {
    let seen = fs::metadata(environment::own_program().ok()?).ok()?;
    let changed = (seen.mtime(), seen.mtime_nsec());
    Some(format!(
        "{} {} {changed:?} {}",
        env!("CARGO_PKG_VERSION"),
        seen.len(),
        seen.ino()
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::edge::opened::{ReadProject, read_project};
    use assets::diagnostic::Code;

    /// More than are worth keeping.
    const QUERIES: usize = 300;

    fn write_project(folder: &Path, least: &str) {
        for below in ["assets", "sql"] {
            fs::create_dir_all(folder.join(below)).unwrap();
        }
        let project = format!("[project]\nname = \"many\"\ntimezone = \"UTC\"\n\n[params]\n{least} = 1\n");
        fs::write(folder.join("millpond.toml"), project).unwrap();
        let declared =
            |number: usize| format!("[asset.silver.a{number}]\nkind = \"sql\"\nsql = \"sql/a{number}.sql\"\n");
        fs::write(
            folder.join("assets/silver.toml"),
            (0..QUERIES).map(declared).collect::<String>(),
        )
        .unwrap();
        for number in 0..QUERIES {
            let from = number
                .checked_sub(1)
                .map_or(String::new(), |before| format!("FROM silver.a{before}"));
            let query = format!("-- {number}\nSELECT {number} AS a {from} WHERE $least > 0\n");
            fs::write(folder.join(format!("sql/a{number}.sql")), query).unwrap();
        }
    }

    fn fingerprints(read: &ReadProject) -> Vec<(String, String)> {
        let project = read.project.as_ref().expect("there is no mistake");
        let graph = project.definitions.graph();
        let each = graph
            .topological()
            .map(|asset| (asset.key.to_string(), asset.fingerprint.to_string()));
        each.collect()
    }

    #[test]
    fn a_second_start_parses_nothing_and_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let root = ProjectRoot::production(folder.path());
        write_project(folder.path(), "least");
        let first = read_project(&root);
        let file = StateFolder::query_cache(&root);
        let written = fs::metadata(&file).unwrap().ino();
        let second = read_project(&root);
        assert_eq!(fingerprints(&first), fingerprints(&second));
        assert_eq!(fs::metadata(&file).unwrap().ino(), written, "nothing was new");

        // What is known is told with its place all the same.
        write_project(folder.path(), "most");
        let told = read_project(&root).diagnostics;
        let first = told
            .iter()
            .find(|told| told.code == Code::UnknownParameter)
            .expect("nothing binds `$least`");
        let place = first.span.expect("it has a place").range();
        assert_eq!(
            &fs::read_to_string(folder.path().join("sql/a0.sql")).unwrap()[place],
            "$least"
        );
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_read_as_ever() {
        let folder = tempfile::tempdir().unwrap();
        let root = ProjectRoot::production(folder.path());
        write_project(folder.path(), "least");
        fs::write(folder.path().join(".millpond"), "in the way").unwrap();
        assert_eq!(fingerprints(&read_project(&root)).len(), QUERIES);
    }
}
