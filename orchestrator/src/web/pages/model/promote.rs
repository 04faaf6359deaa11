//! Moving an alias by hand: first what would follow from it, then the move itself, with a reason.

use askama::Template;
use assets::{AssetKey, InputRole, ModelReference};
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;
use state::sqlite::queries::models::{alias_moves, version, versions};

use super::super::frame::{Frame, Section};
use super::super::{asset_key, given, read, render};
use super::compare::{Comparison, compare};
use crate::core::Answer;
use crate::edge::engine::RequestError;
use crate::web::WebState;
use crate::web::reply::ErrorPage;
use crate::wire::moved_by;

/// Versions to choose from.
const CHOICES: usize = 100;

/// Which version an alias is to mean, and why.
#[derive(Debug, Clone, Deserialize)]
pub struct Promote {
    version: Option<u64>,
    alias: Option<String>,
    reason: Option<String>,
}

#[derive(Template)]
#[template(path = "model_promote.html")]
struct PromotePage {
    frame: Frame,
    key: AssetKey,
    alias: String,
    version: u64,
    choices: Vec<(u64, bool)>,
    now: Option<u64>,
    is_back: bool,
    readers: Vec<AssetKey>,
    comparison: Option<Comparison>,
}

/// `GET /models/{key}/promote?alias=champion&version=2`
pub async fn ask(
    State(state): State<WebState>,
    Path(model): Path<String>,
    Query(asked): Query<Promote>,
) -> Result<Html<String>, ErrorPage> {
    let model = asset_key(&model)?;
    let alias = given(asked.alias).unwrap_or_else(|| "champion".to_owned());
    let (wanted, named) = (model.clone(), alias.clone());
    let (all, moves, chosen, holder) = read(&state.engine, move |store| {
        let all = versions(store, &wanted, None, CHOICES)?.rows;
        let holder = all.iter().find(|version| version.aliases.contains(&named)).cloned();
        let chosen = match asked.version {
            Some(number) => version(store, &wanted, number)?,
            None => all.first().cloned(),
        };
        Ok((all, alias_moves(store, &wanted, None, CHOICES)?.rows, chosen, holder))
    })
    .await?;
    let Some(chosen) = chosen else {
        let which = asked.version.map_or_else(String::new, |number| format!(" {number}"));
        return Err(ErrorPage::not_found(format!("{model} has no version{which}")));
    };
    let (wanted, named) = (model.clone(), alias.clone());
    let readers = state
        .engine
        .driver()
        .ask(move |world, _| {
            let definitions = world.definitions();
            let by_alias =
                |role: &InputRole| matches!(role, InputRole::Model(ModelReference::Alias(alias)) if *alias == named);
            definitions
                .graph()
                .downstream(&wanted)
                .into_iter()
                .filter(|reader| {
                    reader
                        .inputs
                        .iter()
                        .any(|input| input.asset == wanted && by_alias(&input.role))
                })
                .map(|reader| reader.key.clone())
                .collect::<Vec<_>>()
        })
        .await
        .ok_or(RequestError::Stopping)?;
    let last = moves.iter().find(|moved| moved.alias == alias);
    render(&PromotePage {
        frame: Frame::new(&state, format!("Promote {model}"), Section::Models),
        choices: all
            .iter()
            .map(|one| (one.version, one.version == chosen.version))
            .collect(),
        is_back: last.is_some_and(|last| last.from == Some(chosen.version)),
        now: holder.as_ref().map(|holder| holder.version),
        comparison: holder
            .filter(|holder| holder.version != chosen.version)
            .map(|holder| compare(&holder, &chosen)),
        version: chosen.version,
        readers,
        alias,
        key: model,
    })
}

/// `POST /models/{key}/promote`
pub async fn promote(
    State(state): State<WebState>,
    Path(model): Path<String>,
    Form(form): Form<Promote>,
) -> Result<Response, ErrorPage> {
    let model = asset_key(&model)?;
    let unfit = |message: &str| ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, message.to_owned());
    let version = form.version.ok_or_else(|| unfit("no version was given"))?;
    let alias = given(form.alias).ok_or_else(|| unfit("no alias was given"))?;
    let by = moved_by("page", form.reason.as_deref());
    match state.engine.promote(model.clone(), alias, version, by).await? {
        Answer::Promoted { .. } => Ok(Redirect::to(&format!("/models/{model}#moves")).into_response()),
        Answer::Refused { reasons } => Err(ErrorPage::new(StatusCode::UNPROCESSABLE_ENTITY, reasons.join("; "))),
        _ => Err(ErrorPage::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an answer to another question",
        )),
    }
}
