//! `/assets`: every asset with its state and its size.

use askama::Template;
use assets::AssetKey;
use axum::extract::{Query, State};
use axum::response::Html;
use serde::{Deserialize, Serialize};

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::assets_state::{AssetLine, asset_lines, by_layer};
use super::figures::{NOTHING, bytes, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::tone::{Tone, asset_state, bar, health_parts, in_words};
use super::{given, render};
use crate::core::HealthState;

/// What is asked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    q: Option<String>,
    state: Option<String>,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub struct AssetsFacts {
    /// Assets, upstream first.
    pub assets: Vec<AssetLine>,
    /// How many there are in all.
    pub total: usize,
}

struct AssetRowView {
    key: AssetKey,
    description: String,
    kind: String,
    state: Markup,
    bar: Markup,
    words: String,
    rows: String,
    size: String,
    when: Markup,
    freshness: Option<(Markup, String)>,
    owner: String,
}

struct Choice {
    word: &'static str,
    href: String,
    here: bool,
}

#[derive(Template)]
#[template(path = "assets.html")]
struct AssetsPage {
    frame: Frame,
    layers: Vec<(String, Vec<AssetRowView>)>,
    choices: Vec<Choice>,
    shown: usize,
    total: usize,
}

/// The assets that are asked for: those with all the words somewhere in their names, kinds, owners, tags or descriptions.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<AssetsFacts, ErrorPage> {
    let mut assets = asset_lines(state).await?;
    let total = assets.len();
    if let Some(wanted) = given(asked.state.clone()) {
        assets.retain(|line| {
            if wanted == "running" {
                line.running
            } else {
                line.state.as_str() == wanted
            }
        });
    }
    if let Some(words) = given(asked.q.clone()) {
        let words = words.to_lowercase();
        assets.retain(|line| {
            let text = [
                Some(line.asset.as_str()),
                Some(line.kind.as_str()),
                line.owner.as_deref(),
                line.description.as_deref(),
            ];
            let mut text = text.into_iter().flatten().collect::<Vec<_>>().join(" ").to_lowercase();
            text.push(' ');
            text.push_str(&line.tags.join(" ").to_lowercase());
            words.split_whitespace().all(|word| text.contains(word))
        });
    }
    Ok(AssetsFacts { assets, total })
}

/// `GET /assets?q=flights&state=stale`
pub async fn page(State(state): State<WebState>, Query(asked): Query<Asked>) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let (q, wanted) = (given(asked.q), given(asked.state));
    let choice = |word: &'static str, value: Option<&str>| Choice {
        word,
        href: format!(
            "/assets{}",
            query(&[("q", q.clone()), ("state", value.map(str::to_owned))])
        ),
        here: wanted.as_deref() == value,
    };
    let mut choices = vec![choice("all", None)];
    for (state, word) in [
        (HealthState::Fresh, "fresh"),
        (HealthState::Stale, "stale"),
        (HealthState::Failed, "failed"),
        (HealthState::Missing, "never made"),
        (HealthState::Waiting, "waiting"),
    ] {
        choices.push(choice(word, Some(state.as_str())));
    }
    choices.push(choice("running", Some("running")));
    let shown = facts.assets.len();
    let views = facts.assets.into_iter().map(|line| {
        let parts = health_parts(&line.health);
        let sums = line.sums.as_ref().filter(|sums| sums.materialized > 0);
        AssetRowView {
            description: line.description.clone().unwrap_or_default(),
            state: asset_state(line.state, line.running),
            bar: bar(&parts),
            words: if line.partitioned.is_some() {
                in_words(&parts)
            } else {
                String::new()
            },
            rows: sums.map_or_else(|| NOTHING.to_owned(), |sums| number(sums.rows)),
            size: sums.map_or_else(|| NOTHING.to_owned(), |sums| bytes(sums.bytes)),
            when: clock.when_known(line.sums.as_ref().and_then(|sums| sums.last_at)),
            freshness: line.freshness.as_ref().map(|now| {
                let state = Tone::from(now.state).state(now.state.words());
                (state, now.reason.clone())
            }),
            owner: line.owner.clone().unwrap_or_default(),
            kind: line.kind,
            key: line.asset,
        }
    });
    let mut frame = Frame::new(&state, "Assets", Section::Assets);
    frame.search = q.clone().unwrap_or_default();
    render(&AssetsPage {
        frame,
        layers: by_layer(views.collect(), |view| &view.key),
        choices,
        shown,
        total: facts.total,
    })
}
