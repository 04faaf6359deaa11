//! `/models`: every model of the registry.

use askama::Template;
use assets::AssetKey;
use axum::extract::State;
use axum::response::Html;
use serde::Serialize;
use state::sqlite::queries::models::{ModelRow, ModelVersionRow, models, version};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::figures::figure;
use super::frame::{Frame, Section, page_clock};
use super::markup::Markup;
use super::{read, render};

const MOST_MODELS: usize = 500;

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct ModelsFacts {
    /// Models by key.
    pub models: Vec<ModelFacts>,
}

/// One model.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ModelLine")]
pub struct ModelFacts {
    /// Its aliases and newest version.
    pub model: ModelRow,
    /// The newest version itself.
    pub newest: Option<ModelVersionRow>,
}

struct ModelView {
    key: AssetKey,
    newest: u64,
    algorithm: String,
    when: Markup,
    aliases: Vec<(String, u64)>,
    metrics: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "models.html")]
struct ModelsPage {
    frame: Frame,
    models: Vec<ModelView>,
}

/// Every model.
pub async fn facts(state: &WebState) -> Result<ModelsFacts, ErrorPage> {
    let models = read(&state.engine, |store| {
        let rows = models(store, None, MOST_MODELS)?.rows;
        rows.into_iter()
            .map(|model| {
                Ok(ModelFacts {
                    newest: version(store, &model.model, model.newest_version)?,
                    model,
                })
            })
            .collect::<Result<Vec<_>, _>>()
    })
    .await?;
    Ok(ModelsFacts { models })
}

/// `GET /models`
pub async fn page(State(state): State<WebState>) -> Result<Html<String>, ErrorPage> {
    let clock = page_clock(&state);
    let models = facts(&state).await?.models.into_iter().map(|found| ModelView {
        newest: found.model.newest_version,
        when: clock.when(found.model.registered_at),
        aliases: found.model.aliases.into_iter().collect(),
        algorithm: found
            .newest
            .as_ref()
            .map_or_else(String::new, |newest| newest.algorithm.clone()),
        metrics: found.newest.map_or_else(Vec::new, |newest| {
            newest
                .metrics
                .into_iter()
                .map(|(name, value)| (name, figure(value)))
                .collect()
        }),
        key: found.model.model,
    });
    render(&ModelsPage {
        models: models.collect(),
        frame: Frame::new(&state, "Models", Section::Models),
    })
}
