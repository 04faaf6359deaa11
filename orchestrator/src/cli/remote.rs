//! Talking to the daemon that owns the project, over its own HTTP interface on this machine.

use std::time::Duration;

use assets::AssetKey;
use plugins::lakehouse::TagName;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use state::event::{Event, Micros, Recorded};
use state::ids::RunId;
use state::schedule::Tick;
use state::sqlite::Owner;

use super::follow::Follower;
use super::look::Place;
use super::materialize::{accepted, exit_of};
use super::terminal::Terminal;
use super::{Exit, Stop};
use crate::edge::environments::{EnvironmentName, MergedEnvironment};
use crate::edge::folder::StateFolder;
use crate::wire::{
    AliasBody, ErrorBody, GcAnswer, GcBody, LevelBody, MergeBody, PublishBody, PublishedStaged, RepartitionAnswer,
    RepartitionBody, RollbackAnswer, RollbackBody, RunAnswer, RunBody, SensorLooked, TagAnswer, TagBody, TestAnswer,
};

/// How long the daemon may wait for something to happen before it answers that nothing did.
const WAIT_SECONDS: u64 = 20;

/// How long ridding tables of old versions may take.
const GARBAGE: Duration = Duration::from_secs(24 * 3600);

/// A daemon.
pub struct Remote {
    client: Client,
    url: String,
    token: String,
}

#[derive(Deserialize)]
struct EventPage {
    rows: Vec<EventOf>,
}

#[derive(Deserialize)]
struct EventOf {
    seq: i64,
    at: Micros,
    event: Option<Event>,
}

impl Remote {
    /// The daemon at `url`, with the token that it left in the state folder for this user.
    pub fn new(url: &str, folder: &StateFolder) -> Result<Self, Stop> {
        let token = std::fs::read_to_string(folder.token()).map_err(|error| {
            Stop::broken(format!("failed to read `{}`: {error}", folder.token().display())).with_help(format!(
                "the daemon at {url} belongs to another user, or is just starting"
            ))
        })?;
        let client = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(WAIT_SECONDS + 40))
            .build()
            .map_err(|error| Stop::broken(error.to_string()))?;
        Ok(Self {
            client,
            url: url.trim_end_matches('/').to_owned(),
            token: token.trim().to_owned(),
        })
    }

    /// The daemon that owns the project in `place`, for what only a daemon can do.
    pub fn of(place: &Place) -> Result<Self, Stop> {
        let folder = StateFolder::of(&place.root()?);
        match Owner::of(folder.path()) {
            Some(Owner { url: Some(url), .. }) => Self::new(&url, &folder),
            Some(Owner { pid, .. }) => Err(Stop::new(
                Exit::Owned,
                format!("the project belongs to process {pid}, which is no daemon"),
            )
            .with_help("press Ctrl-C where `millpond materialize` runs, or wait for its end")),
            None => Err(
                Stop::not_found("no daemon runs, so no run is under way and none can be left to it")
                    .with_help("`millpond up` starts one; `millpond runs` shows how earlier runs ended"),
            ),
        }
    }

    /// Asks the daemon to read the project's files now, so that what was just written counts.
    pub async fn look_at_definitions(&self) -> Result<(), Stop> {
        let _: serde_json::Value = self.answer(self.request(Method::POST, "/definitions/look")).await?;
        Ok(())
    }

    /// What is worth a line in the daemon's log; changes it first if `level` is given.
    pub async fn log_level(&self, level: Option<&str>) -> Result<String, Stop> {
        let request = match level {
            Some(level) => self.request(Method::POST, "/log-level").json(&LevelBody {
                level: level.to_owned(),
            }),
            None => self.request(Method::GET, "/log-level"),
        };
        let LevelBody { level } = self.answer(request).await?;
        Ok(level)
    }

    /// Asks for a run.
    pub async fn submit(&self, body: &RunBody) -> Result<RunAnswer, Stop> {
        self.answer(self.request(Method::POST, "/runs").json(body)).await
    }

    /// Asks that a run start nothing more for now (`pause`), or go on.
    pub async fn pause_run(&self, run: &RunId, pause: bool) -> Result<(), Stop> {
        let what = if pause { "pause" } else { "resume" };
        let _: serde_json::Value = self
            .answer(self.request(Method::POST, &format!("/runs/{run}/{what}")))
            .await?;
        Ok(())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/api/v1{path}", self.url))
            .bearer_auth(&self.token)
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Stop> {
        let failed = |error: reqwest::Error| {
            Stop::broken(format!("failed to talk to the daemon at {}: {error}", self.url))
                .with_help("look at the terminal or log of `millpond up`")
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(failed);
        }
        let text = response.text().await.map_err(failed)?;
        let message = serde_json::from_str::<ErrorBody>(&text)
            .map_or_else(|_| format!("the daemon answered {status}"), |body| body.error);
        Err(Stop::new(
            match status.as_u16() {
                404 | 422 => Exit::NotFound,
                // Sources that cannot be seen: the run would have failed.
                409 => Exit::Failed,
                _ => Exit::Broken,
            },
            message,
        ))
    }

    /// Asks for a run and follows it.
    pub async fn materialize(&self, body: RunBody, terminal: &Terminal) -> Result<Exit, Stop> {
        self.look_at_definitions().await?;
        let page: EventPage = self.answer(self.request(Method::GET, "/events?newest=true")).await?;
        let mut after = page.rows.last().map_or(0, |row| row.seq);
        let run = match accepted(self.submit(&body).await?, terminal) {
            Ok(run) => run,
            Err(exit) => return Ok(exit),
        };
        let mut follower = Follower::new(run.clone(), terminal);
        let mut interrupted = false;
        while follower.ended.is_none() {
            let path = format!("/events?after={after}&wait={WAIT_SECONDS}");
            tokio::select! {
                page = self.answer::<EventPage>(self.request(Method::GET, &path)) => {
                    for row in page?.rows {
                        after = row.seq;
                        if let Some(event) = row.event {
                            follower.see(&Recorded { at: row.at, event });
                        }
                    }
                }
                signal = tokio::signal::ctrl_c() => {
                    signal?;
                    if interrupted {
                        return Ok(Exit::Interrupted);
                    }
                    interrupted = true;
                    follower.line("canceling; press Ctrl-C again to leave the run to the daemon");
                    self.cancel(&run).await?;
                }
            }
        }
        if terminal.json() {
            terminal.answer(&follower.summary());
        }
        Ok(exit_of(follower.ended, interrupted))
    }

    /// Asks to stop a run.
    pub async fn cancel(&self, run: &RunId) -> Result<(), Stop> {
        let _: serde_json::Value = self
            .answer(self.request(Method::POST, &format!("/runs/{run}/cancel")))
            .await?;
        Ok(())
    }

    /// Pauses a schedule, or resumes it.
    pub async fn pause(&self, schedule: &str, paused: bool) -> Result<(), Stop> {
        let verb = if paused { "pause" } else { "resume" };
        let path = format!("/schedules/{schedule}/{verb}");
        let _: serde_json::Value = self.answer(self.request(Method::POST, &path)).await?;
        Ok(())
    }

    /// Ticks a schedule now.
    pub async fn tick(&self, schedule: &str) -> Result<Tick, Stop> {
        let path = format!("/schedules/{schedule}/tick");
        self.answer(self.request(Method::POST, &path)).await
    }

    /// Pauses automation, or lets it go on: of one asset, or all of it.
    pub async fn pause_automation(&self, asset: Option<&str>, pause: bool) -> Result<(), Stop> {
        let verb = if pause { "pause" } else { "resume" };
        let path = match asset {
            Some(asset) => format!("/automation/{asset}/{verb}"),
            None => format!("/automation/{verb}"),
        };
        let _: serde_json::Value = self.answer(self.request(Method::POST, &path)).await?;
        Ok(())
    }

    /// Sends a test message of an alert: whether its receiver took it, or why not.
    pub async fn test_alert(&self, alert: &str) -> Result<Result<(), String>, Stop> {
        let path = format!("/alerts/{alert}/test");
        let answer: TestAnswer = self.answer(self.request(Method::POST, &path)).await?;
        Ok(match answer.delivered {
            true => Ok(()),
            false => Err(answer.error.unwrap_or_default()),
        })
    }

    /// Pauses a sensor, or resumes it.
    pub async fn pause_sensor(&self, sensor: &str, paused: bool) -> Result<(), Stop> {
        let verb = if paused { "pause" } else { "resume" };
        let path = format!("/sensors/{sensor}/{verb}");
        let _: serde_json::Value = self.answer(self.request(Method::POST, &path)).await?;
        Ok(())
    }

    /// Has a sensor look now, for as long as it may; with `test` only to see what it would tell of.
    pub async fn look(&self, sensor: &str, test: bool, deadline: Duration) -> Result<SensorLooked, Stop> {
        let path = format!("/sensors/{sensor}/tick{}", if test { "?test=true" } else { "" });
        self.answer(self.request(Method::POST, &path).timeout(deadline)).await
    }

    /// Rids tables of old versions, however long it takes.
    pub async fn collect_garbage(&self, body: &GcBody) -> Result<GcAnswer, Stop> {
        let request = self.request(Method::POST, "/gc").timeout(GARBAGE);
        self.answer(request.json(body)).await
    }

    /// Has what an environment made count in the project, however long it takes.
    pub async fn merge(&self, name: &EnvironmentName, body: &MergeBody) -> Result<MergedEnvironment, Stop> {
        let path = format!("/environments/{name}/merge");
        let request = self.request(Method::POST, &path).timeout(GARBAGE);
        self.answer(request.json(body)).await
    }

    /// Publishes rows of a run that a check kept back.
    pub async fn publish_staged(&self, run: &RunId, body: &PublishBody) -> Result<PublishedStaged, Stop> {
        let path = format!("/runs/{run}/staged/publish");
        let request = self.request(Method::POST, &path).timeout(GARBAGE);
        self.answer(request.json(body)).await
    }

    /// Points an alias at a version.
    pub async fn promote(&self, model: &AssetKey, alias: &str, body: &AliasBody) -> Result<serde_json::Value, Stop> {
        let path = format!("/models/{model}/aliases/{alias}");
        self.answer(self.request(Method::POST, &path).json(body)).await
    }

    /// Asks to take a table back.
    pub async fn roll_back(&self, asset: &AssetKey, body: &RollbackBody) -> Result<RollbackAnswer, Stop> {
        let path = format!("/assets/{asset}/rollback");
        self.answer(self.request(Method::POST, &path).json(body)).await
    }

    /// Asks to cut a table into the partitions of its asset.
    pub async fn repartition(&self, asset: &AssetKey, body: &RepartitionBody) -> Result<RepartitionAnswer, Stop> {
        let path = format!("/assets/{asset}/repartition");
        let request = self.request(Method::POST, &path).timeout(GARBAGE);
        self.answer(request.json(body)).await
    }

    /// Asks to set a tag, or to drop it.
    pub async fn tag(&self, asset: &AssetKey, tag: &TagName, body: &TagBody) -> Result<TagAnswer, Stop> {
        let path = format!("/assets/{asset}/tags/{tag}");
        self.answer(self.request(Method::POST, &path).json(body)).await
    }
}
