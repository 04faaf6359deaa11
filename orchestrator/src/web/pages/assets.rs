//! `/assets`: the catalog: every asset with its state and its size, searched, narrowed and sorted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use askama::Template;
use assets::AssetKey;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Html;
use serde::{Deserialize, Serialize};
use state::freshness::FreshnessState;

use super::super::WebState;
use super::super::reply::ErrorPage;
use super::assets_state::{AssetLine, by_layer, kept_lines};
use super::figures::{NOTHING, bytes, number};
use super::frame::{Frame, Section, page_clock};
use super::markup::{Markup, query};
use super::tone::{Tone, asset_state, bar, health_parts, in_words};
use super::{given, render};
use crate::core::HealthState;

const ON_A_PAGE: usize = 100;
const MOST_ON_A_PAGE: usize = 1000;
/// Owners and tags to choose from.
const MOST_CHOICES: usize = 200;

/// What is asked. Empty fields of a form are no values.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
pub struct Asked {
    q: Option<String>,
    state: Option<String>,
    layer: Option<String>,
    kind: Option<String>,
    owner: Option<String>,
    tag: Option<String>,
    sort: Option<String>,
    /// Assets after this one.
    after: Option<String>,
    limit: Option<usize>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct AssetsFacts {
    /// Assets in the order asked for.
    pub assets: Vec<AssetLine>,
    /// How many are like that in all.
    pub matching: usize,
    /// How many there are.
    pub total: usize,
    /// Pass as `after` for the assets after these.
    pub next: Option<AssetKey>,
    /// How many of those that match otherwise are in each state.
    pub states: BTreeMap<&'static str, usize>,
    /// What there is to choose from, with how many assets have it.
    pub choices: Choices,
}

/// What assets can be narrowed by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Choices {
    /// Layers.
    pub layers: BTreeMap<String, usize>,
    /// Kinds.
    pub kinds: BTreeMap<String, usize>,
    /// Owners, the first 200.
    pub owners: BTreeMap<String, usize>,
    /// Tags, the first 200.
    pub tags: BTreeMap<String, usize>,
}

/// Orders of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Layer,
    Name,
    State,
    Rows,
    Size,
    Made,
}

impl Sort {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Layer, "layer", "by layer"),
        (Self::Name, "name", "by name"),
        (Self::State, "state", "worst first"),
        (Self::Rows, "rows", "most rows first"),
        (Self::Size, "size", "largest first"),
        (Self::Made, "made", "made last first"),
    ];

    fn of(text: Option<&str>) -> Result<Self, ErrorPage> {
        let Some(text) = text else { return Ok(Self::Layer) };
        let found = Self::ALL.iter().find(|(_, word, _)| *word == text);
        found.map(|(sort, ..)| *sort).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|(_, word, _)| *word).collect();
            ErrorPage::new(StatusCode::BAD_REQUEST, format!("`{text}` is no order of assets"))
                .with_help(format!("orders are {}", words.join(", ")))
        })
    }
}

/// States by which the list is narrowed: the word in the address, and the word for people.
const STATES: [(&str, &str); 7] = [
    ("fresh", "fresh"),
    ("stale", "stale"),
    ("failed", "failed"),
    ("missing", "never made"),
    ("waiting", "waiting"),
    ("running", "running"),
    ("late", "late"),
];

fn is_in(line: &AssetLine, state: &str) -> bool {
    match state {
        "running" => line.running,
        "late" => line
            .freshness
            .as_ref()
            .is_some_and(|now| now.state == FreshnessState::Late),
        state => line.state.as_str() == state,
    }
}

/// All the words are somewhere in its name, kind, owner, tags or description.
fn has_words(line: &AssetLine, words: &[String]) -> bool {
    let contains = |text: &str, word: &str| {
        // Keys and kinds are lowercase already.
        text.contains(word)
            || (text.bytes().any(|byte| !byte.is_ascii_lowercase()) && text.to_lowercase().contains(word))
    };
    words.iter().all(|word| {
        contains(line.asset.as_str(), word)
            || contains(&line.kind, word)
            || line.owner.as_deref().is_some_and(|owner| contains(owner, word))
            || line.tags.iter().any(|tag| contains(tag, word))
            || line.description.as_deref().is_some_and(|text| contains(text, word))
    })
}

/// The assets that are asked for.
pub async fn facts(state: &WebState, asked: &Asked) -> Result<AssetsFacts, ErrorPage> {
    let lines = kept_lines(state).await?;
    let sort = Sort::of(given(asked.sort.clone()).as_deref())?;
    let wanted_state = given(asked.state.clone());
    let (layer, kind) = (given(asked.layer.clone()), given(asked.kind.clone()));
    let (owner, tag) = (given(asked.owner.clone()), given(asked.tag.clone()));
    let words: Vec<String> = given(asked.q.clone())
        .map(|text| text.to_lowercase().split_whitespace().map(str::to_owned).collect())
        .unwrap_or_default();
    let mut choices = Choices::default();
    let mut layers: HashMap<&str, usize> = HashMap::new();
    let mut found: Vec<(usize, &AssetLine)> = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let order = layers.len();
        layers.entry(line.asset.layer()).or_insert(order);
        let mut count = |map: fn(&mut Choices) -> &mut BTreeMap<String, usize>, text: &str| {
            let map = map(&mut choices);
            if let Some(number) = map.get_mut(text) {
                *number += 1;
            } else if map.len() < MOST_CHOICES {
                map.insert(text.to_owned(), 1);
            }
        };
        count(|choices| &mut choices.layers, line.asset.layer());
        count(|choices| &mut choices.kinds, &line.kind);
        if let Some(owner) = &line.owner {
            count(|choices| &mut choices.owners, owner);
        }
        for tag in &line.tags {
            count(|choices| &mut choices.tags, tag);
        }
        let like = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|wanted| wanted == has);
        if like(&layer, line.asset.layer())
            && like(&kind, &line.kind)
            && owner.as_ref().is_none_or(|owner| line.owner.as_ref() == Some(owner))
            && tag.as_ref().is_none_or(|tag| line.tags.contains(tag))
            && has_words(line, &words)
        {
            found.push((place, line));
        }
    }
    let states = STATES
        .iter()
        .map(|(word, _)| (*word, found.iter().filter(|(_, line)| is_in(line, word)).count()))
        .collect();
    if let Some(wanted) = &wanted_state {
        found.retain(|(_, line)| is_in(line, wanted));
    }
    let sums = |line: &AssetLine| line.sums.as_ref().map(|sums| (sums.rows, sums.bytes, sums.last_at));
    match sort {
        Sort::Layer => found.sort_by_key(|(place, line)| (layers[line.asset.layer()], *place)),
        Sort::Name => found.sort_by(|(_, a), (_, b)| a.asset.cmp(&b.asset)),
        Sort::State => found.sort_by_key(|(place, line)| (Reverse(line.state), *place)),
        Sort::Rows => found.sort_by_key(|(place, line)| (Reverse(sums(line).map(|sums| sums.0)), *place)),
        Sort::Size => found.sort_by_key(|(place, line)| (Reverse(sums(line).map(|sums| sums.1)), *place)),
        Sort::Made => found.sort_by_key(|(place, line)| (Reverse(sums(line).and_then(|sums| sums.2)), *place)),
    }
    let matching = found.len();
    let begin = match given(asked.after.clone()) {
        Some(after) => found
            .iter()
            .position(|(_, line)| line.asset.as_str() == after)
            .map_or(0, |place| place + 1),
        None => 0,
    };
    let limit = asked.limit.unwrap_or(ON_A_PAGE).clamp(1, MOST_ON_A_PAGE);
    let shown: Vec<AssetLine> = found
        .iter()
        .skip(begin)
        .take(limit)
        .map(|(_, line)| (*line).clone())
        .collect();
    Ok(AssetsFacts {
        next: (matching > begin + limit)
            .then(|| shown.last().map(|line| line.asset.clone()))
            .flatten(),
        assets: shown,
        matching,
        total: lines.len(),
        states,
        choices,
    })
}

struct AssetRowView {
    key: AssetKey,
    description: String,
    tags: Vec<String>,
    kind: String,
    state: Markup,
    reason: String,
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
    count: String,
    href: String,
    here: bool,
}

/// A choice of a form: its name, what it is called, the values with their words, and which is chosen.
struct Select {
    name: &'static str,
    any: &'static str,
    options: Vec<(String, String, bool)>,
}

#[derive(Template)]
#[template(path = "assets.html")]
struct AssetsPage {
    frame: Frame,
    layers: Vec<(String, Vec<AssetRowView>)>,
    grouped: bool,
    choices: Vec<Choice>,
    selects: Vec<Select>,
    q: String,
    state: String,
    narrowed: bool,
    first: bool,
    shown: usize,
    matching: usize,
    total: usize,
    next: Option<String>,
    begin: String,
}

/// `GET /assets?q=flights&state=stale&layer=silver&kind=sql&owner=…&tag=…&sort=rows&after=silver.flights`
pub async fn page(State(state): State<WebState>, Query(asked): Query<Asked>) -> Result<Html<String>, ErrorPage> {
    let facts = facts(&state, &asked).await?;
    let clock = page_clock(&state);
    let wanted = given(asked.state.clone());
    let address = |state: Option<&str>, after: Option<String>| {
        let pairs = [
            ("q", given(asked.q.clone())),
            ("state", state.map(str::to_owned)),
            ("layer", given(asked.layer.clone())),
            ("kind", given(asked.kind.clone())),
            ("owner", given(asked.owner.clone())),
            ("tag", given(asked.tag.clone())),
            ("sort", given(asked.sort.clone())),
            ("after", after),
        ];
        format!("/assets{}", query(&pairs))
    };
    let all: usize = facts
        .states
        .iter()
        .filter(|(word, _)| !["running", "late"].contains(*word))
        .map(|(_, n)| n)
        .sum();
    let choice = |word: &'static str, count: usize, value: Option<&str>| Choice {
        word,
        count: number(count as u64),
        href: address(value, None),
        here: wanted.as_deref() == value,
    };
    let mut choices = vec![choice("all", all, None)];
    for (value, word) in STATES {
        let count = facts.states[value];
        // What nobody declared or what does not go on needs no room.
        if count > 0 || wanted.as_deref() == Some(value) || !["waiting", "running", "late"].contains(&value) {
            choices.push(choice(word, count, Some(value)));
        }
    }
    let select = |name, any, chosen: &Option<String>, counts: &BTreeMap<String, usize>| {
        let chosen = given(chosen.clone());
        let mut options: Vec<(String, String, bool)> = counts
            .iter()
            .map(|(value, count)| {
                let here = chosen.as_ref() == Some(value);
                (value.clone(), format!("{value} ({})", number(*count as u64)), here)
            })
            .collect();
        // Also one that no asset has: else the form would show what is not asked.
        if let Some(chosen) = chosen.filter(|chosen| !counts.contains_key(chosen)) {
            options.push((chosen.clone(), chosen, true));
        }
        Select { name, any, options }
    };
    let sort = given(asked.sort.clone());
    let grouped = sort.as_deref().is_none_or(|sort| sort == "layer");
    let mut selects = vec![
        select("layer", "every layer", &asked.layer, &facts.choices.layers),
        select("kind", "every kind", &asked.kind, &facts.choices.kinds),
        select("owner", "every owner", &asked.owner, &facts.choices.owners),
        select("tag", "every tag", &asked.tag, &facts.choices.tags),
    ];
    selects.retain(|select| !select.options.is_empty());
    selects.push(Select {
        name: "sort",
        any: "",
        options: Sort::ALL
            .iter()
            .map(|(_, word, text)| ((*word).to_owned(), (*text).to_owned(), sort.as_deref() == Some(word)))
            .collect(),
    });
    let shown = facts.assets.len();
    let views = facts.assets.into_iter().map(|line| {
        let parts = health_parts(&line.health);
        let sums = line.sums.as_ref().filter(|sums| sums.materialized > 0);
        AssetRowView {
            description: line.description.clone().unwrap_or_default(),
            tags: line.tags.clone(),
            state: asset_state(line.state, line.running),
            reason: match line.state {
                HealthState::Stale | HealthState::Failed => line.health.reason.clone().unwrap_or_default(),
                _ => String::new(),
            },
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
    let views: Vec<AssetRowView> = views.collect();
    let narrowing = [
        &asked.q,
        &asked.state,
        &asked.layer,
        &asked.kind,
        &asked.owner,
        &asked.tag,
    ];
    render(&AssetsPage {
        frame: Frame::new(&state, "Assets", Section::Assets),
        layers: if grouped {
            by_layer(views, |view| &view.key)
        } else {
            vec![(String::new(), views)]
        },
        grouped,
        choices,
        selects,
        q: given(asked.q.clone()).unwrap_or_default(),
        narrowed: narrowing.into_iter().any(|field| given(field.clone()).is_some()),
        first: given(asked.after.clone()).is_none(),
        shown,
        matching: facts.matching,
        total: facts.total,
        next: facts
            .next
            .map(|next| address(wanted.as_deref(), Some(next.to_string()))),
        begin: address(wanted.as_deref(), None),
        state: wanted.clone().unwrap_or_default(),
    })
}
