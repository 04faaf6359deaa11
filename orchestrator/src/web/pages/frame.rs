//! What is around every page: its title, where it stands, and what forms need.

use super::super::WebState;
use super::super::{live, preferences, static_files};
use super::figures::Clock;
use crate::edge::clock;
use crate::figures::count;

/// The part of the dashboard that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The front page.
    Overview,
    /// Assets.
    Assets,
    /// Runs.
    Runs,
    /// Backfills.
    Backfills,
    /// The query console.
    Query,
    /// What happened.
    Log,
    /// Models.
    Models,
    /// Schedules.
    Schedules,
    /// Automation.
    Automation,
    /// Alerts.
    Alerts,
    /// Sensors.
    Sensors,
    /// The graph.
    Graph,
    /// What is in force; reached from the foot of every page.
    Definitions,
}

/// One entry of the navigation.
pub struct Entry {
    /// Where it leads.
    pub path: &'static str,
    /// Its word.
    pub word: &'static str,
    /// Whether the page belongs to it.
    pub here: bool,
    /// Keys that lead there.
    pub keys: &'static str,
}

/// What is around a page.
pub struct Frame {
    /// The page's title.
    pub title: String,
    /// The project's name.
    pub project: String,
    /// The environment of it that this is.
    pub environment: Option<String>,
    /// The query that forms add to their action.
    pub form: String,
    /// Why nothing can be committed, if so.
    pub trouble: Option<String>,
    /// Why the definitions on disk are not in force, if so: how many mistakes, and the first.
    pub mistakes: Option<(String, String)>,
    /// Whether millpond is about to end.
    pub draining: bool,
    /// Every event up to this one is on the page.
    pub seen: i64,
    /// Navigation.
    pub navigation: Vec<Entry>,
    /// What was searched for.
    pub search: String,
    /// The zone of the times shown.
    pub zone: String,
    /// The other zone, if the reader's is known and another than the project's: its name, and what asks for its times.
    pub other_zone: Option<(String, &'static str)>,
    /// `light` or `dark`, if the reader chose.
    pub theme: Option<&'static str>,
    /// Address of the style sheet.
    pub style: &'static str,
    /// Address of the script.
    pub script: &'static str,
    /// Address of the icon.
    pub icon: &'static str,
}

impl Frame {
    /// The frame of a page.
    pub fn new(state: &WebState, title: impl Into<String>, section: Section) -> Self {
        let entry = |here, path, word, keys| Entry {
            path,
            word,
            here: here == section,
            keys,
        };
        let reader = preferences::current();
        let project = state.engine.settings().timezone.clone();
        let own = reader
            .zone
            .as_ref()
            .and_then(|zone| zone.iana_name())
            .filter(|own| *own != project);
        let (zone, other_zone) = match own.map(str::to_owned) {
            Some(own) if reader.own_times => (own, Some((project, "project"))),
            own => (project, own.map(|own| (own, "own"))),
        };
        Self {
            title: title.into(),
            project: state.engine.project_name(),
            environment: state.engine.project().root.environment().map(ToString::to_string),
            form: format!("form={}", state.guard.form_token()),
            trouble: state.engine.driver().trouble().borrow().clone(),
            mistakes: mistakes(state),
            draining: state.engine.is_draining(),
            seen: live::seen(),
            navigation: vec![
                entry(Section::Overview, "/", "Overview", "g o"),
                entry(Section::Assets, "/assets", "Assets", "g a"),
                entry(Section::Graph, "/graph", "Graph", "g g"),
                entry(Section::Models, "/models", "Models", "g m"),
                entry(Section::Runs, "/runs", "Runs", "g r"),
                entry(Section::Backfills, "/backfills", "Backfills", "g b"),
                entry(Section::Schedules, "/schedules", "Schedules", "g s"),
                entry(Section::Sensors, "/sensors", "Sensors", "g e"),
                entry(Section::Automation, "/automation", "Automation", "g u"),
                entry(Section::Alerts, "/alerts", "Alerts", "g t"),
                entry(Section::Query, "/query", "Query", "g q"),
                entry(Section::Log, "/log", "Log", "g l"),
            ],
            search: String::new(),
            zone,
            other_zone,
            theme: reader.theme,
            style: static_files::STYLE.path(),
            script: static_files::SCRIPT.path(),
            icon: static_files::ICON.path(),
        }
    }
}

impl Frame {
    /// Whether that is what the reader chose; `system` if nothing was chosen.
    pub fn is_theme(&self, name: &str) -> bool {
        self.theme.unwrap_or("system") == name
    }

    /// The address of a file of ours.
    #[expect(clippy::unused_self, reason = "templates reach it through the frame")]
    pub fn file(&self, name: &str) -> &'static str {
        static_files::path_of(name)
    }
}

fn mistakes(state: &WebState) -> Option<(String, String)> {
    let definitions = state.engine.definitions_state();
    let definitions = definitions.borrow();
    let mistakes = definitions.mistakes.as_ref()?;
    Some((
        count(mistakes.errors as u64, "mistake", "mistakes"),
        mistakes.first.clone(),
    ))
}

/// Now, in the project's zone; times are shown in the reader's if that is wanted.
pub fn page_clock(state: &WebState) -> Clock {
    let reader = preferences::current();
    Clock::new(clock::now(), &state.engine.settings().timezone).read_by(reader.zone, reader.own_times)
}
