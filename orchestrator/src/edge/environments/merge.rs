//! Has what an environment made count in production.
//!
//! The artifacts of its models are taken over first, under their own names, where nothing refers to them yet. Then one transaction
//! of production's moves everything. Then the environment is marked. A crash between the last two is found when the merge is asked
//! for again: production shows what the environment does.

use serde::{Deserialize, Serialize};
use state::ids::RunId;
use state::sqlite::Store;
use state::sqlite::load::Loaded;

use super::super::clock;
use super::super::engine::{EngineHandle, RequestError};
use super::super::folder::{ProjectRoot, StateFolder};
use super::record::{at_rest, read};
use super::{Changes, EnvironmentError, EnvironmentName, changes, sync_folder, take_file};
use crate::core::{Answer, Input, PreparedTable};

/// What a merge came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MergedEnvironment {
    /// The environment.
    pub environment: String,
    /// The run that it is shown as; `None` if there was nothing to merge, or if it had been merged before.
    pub run: Option<RunId>,
    /// Whether it had been merged before.
    pub already: bool,
    /// How many partitions it made.
    pub partitions: u64,
    /// How many tables changed by it.
    pub tables: u64,
    /// How many versions of models it trained.
    pub models: u64,
}

/// Merges an environment into the project that `engine` runs.
///
/// # Errors
/// It is refused (see [`crate::core`]), or something cannot be read or written.
pub async fn merge(
    engine: &EngineHandle,
    name: &EnvironmentName,
    by: &str,
) -> Result<MergedEnvironment, EnvironmentError> {
    if let Some(own) = engine.project().root.environment() {
        return Err(EnvironmentError::Refused {
            reasons: vec![format!(
                "this is the environment {own}: environments are merged into the project itself"
            )],
        });
    }
    let production = engine.folder().clone();
    let root = ProjectRoot::new(engine.project().root.to_path_buf(), Some(name.clone()));
    let folder = StateFolder::of(&root);
    let mut record = read(folder.path())?.ok_or_else(|| EnvironmentError::Missing(name.clone()))?;
    let mut answer = MergedEnvironment {
        environment: name.to_string(),
        run: None,
        already: true,
        partitions: 0,
        tables: 0,
        models: 0,
    };
    if let Some((_, run)) = &record.merged {
        answer.run = run.clone();
        return Ok(answer);
    }
    at_rest(name, &folder)?;
    let (reader, of, asked_by) = (engine.reader()?, record.clone(), by.to_owned());
    let database = folder.database();
    let compared = tokio::task::spawn_blocking(move || {
        let environment = Store::open_reader(&database)?;
        let compared = changes(&of, &environment, &reader, &asked_by)?;
        let counts_already = is_shown(&compared, &reader.load()?);
        Ok::<_, EnvironmentError>((compared, counts_already))
    });
    let (compared, counts_already) = compared.await.map_err(|_| RequestError::Stopping)??;
    answer.already = counts_already;
    if !counts_already && !compared.is_empty() {
        if !compared.reasons.is_empty() {
            return Err(EnvironmentError::Refused {
                reasons: compared.reasons,
            });
        }
        for model in &compared.merge.models {
            let artifact = &model.staged.artifact;
            take_file(&folder.path().join(artifact), &production.path().join(artifact))?;
            if let Some(parent) = production.path().join(artifact).parent() {
                sync_folder(parent)?;
            }
        }
        answer.partitions = compared.partitions.len() as u64;
        answer.tables = compared.merge.tables.len() as u64;
        answer.models = compared.merge.models.len() as u64;
        let adoption = Box::new(compared.merge);
        let asked = engine
            .driver()
            .request(move |request| Input::Adopt { request, adoption });
        match asked.await {
            Some(Answer::Adopted { run }) => answer.run = Some(run),
            Some(Answer::Refused { reasons }) => return Err(EnvironmentError::Refused { reasons }),
            Some(_) | None => return Err(RequestError::Stopping.into()),
        }
    }
    record.merged = Some((clock::now(), answer.run.clone()));
    record.write(folder.path())?;
    Ok(answer)
}

/// Whether production shows all of it already: a process died after it was merged and before that was noted.
fn is_shown(changes: &Changes, production: &Loaded) -> bool {
    let tables = |table: &PreparedTable| production.pointers.get(&table.table) == Some(&table.to);
    let model = |model: &crate::core::AdoptedModel| {
        let known = production.models.get(&model.model);
        let known = known.and_then(|known| known.versions.get(&model.version));
        known.is_some_and(|known| known.sha256 == model.staged.sha256)
    };
    let alias = |alias: &crate::core::AdoptedAlias| {
        let known = production.models.get(&alias.model);
        known.and_then(|known| known.aliases.get(&alias.alias)) == Some(&alias.to)
    };
    let merge = &changes.merge;
    let something = !(merge.tables.is_empty() && merge.models.is_empty() && merge.aliases.is_empty());
    something && merge.tables.iter().all(tables) && merge.models.iter().all(model) && merge.aliases.iter().all(alias)
}
