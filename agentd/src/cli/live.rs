//! Following an investigation with the eyes: on a terminal steps that run turn, and what was found
//! stays as a tidy transcript; elsewhere each event is a line. [`Transcript`] decides what is worth
//! a line and is pure; here it is drawn.

pub(super) mod transcript;

use std::{collections::BTreeMap, time::Duration};

use agent_proto::v1::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::transcript::{Change, Transcript};
use super::{
    Error,
    out::{self, Style},
    text,
};

/// How often what turns is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// Where events are shown.
pub(super) enum View {
    /// To a person.
    Live(Box<Live>),
    /// A line each, on stdout.
    Lines,
    /// Nowhere.
    Silent,
}

/// Which stream a person looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Screen {
    /// stdout.
    Out,
    /// stderr, when stdout is for a machine.
    Aside,
}

/// The drawing on a terminal.
pub(super) struct Live {
    transcript: Transcript,
    screen: MultiProgress,
    running: BTreeMap<String, ProgressBar>,
}

// === impl View ===

impl View {
    /// A live view when a person looks at stdout, else lines.
    pub(super) fn on_stdout(style: Style) -> Self {
        if out::is_watched() { Self::live(Screen::Out, style) } else { Self::Lines }
    }

    /// A live view on stderr when a person looks at that, else nothing.
    pub(super) fn aside(style: Style) -> Self {
        if out::is_aside_watched() { Self::live(Screen::Aside, style) } else { Self::Silent }
    }

    fn live(screen: Screen, style: Style) -> Self {
        let target = match screen {
            Screen::Out => ProgressDrawTarget::stdout(),
            Screen::Aside => ProgressDrawTarget::stderr(),
        };
        Self::Live(Box::new(Live {
            transcript: Transcript::new(style),
            screen: MultiProgress::with_draw_target(target),
            running: BTreeMap::new(),
        }))
    }

    /// Shows an event.
    ///
    /// # Errors
    /// When stdout cannot be written any more.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Error> {
        match self {
            Self::Live(live) => live.event(event),
            Self::Lines => out::line(&line(event)),
            Self::Silent => Ok(()),
        }
    }

    /// Shows that the connection broke.
    ///
    /// # Errors
    /// When stdout cannot be written any more.
    pub(super) fn broken(&mut self) -> Result<(), Error> {
        const SAID: &str = "the connection broke; trying again";
        match self {
            Self::Live(live) => live.line(SAID),
            Self::Lines => {
                out::aside(SAID);
                Ok(())
            }
            Self::Silent => Ok(()),
        }
    }

    /// Takes away what turns; the transcript stays.
    pub(super) fn close(&mut self) {
        if let Self::Live(live) = self {
            for bar in std::mem::take(&mut live.running).into_values() {
                bar.finish_and_clear();
            }
        }
    }
}

/// An event in a line: number, time of day, what happened.
pub(super) fn line(event: &Event) -> String {
    let time = text::time(event.time.as_ref()).map(text::clock).unwrap_or_default();
    let said = event.summary.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{:>4} {time} {said}", event.sequence)
}

// === impl Live ===

impl Live {
    fn event(&mut self, event: &Event) -> Result<(), Error> {
        for change in self.transcript.take(event) {
            match change {
                Change::Line(line) => self.line(&line)?,
                Change::Begin { step, said } => {
                    let bar = self.screen.add(ProgressBar::new_spinner());
                    // The template is a constant of ours; were it wrong, the plain one is fine.
                    if let Ok(style) = ProgressStyle::with_template("  {spinner} {wide_msg}") {
                        bar.set_style(style);
                    }
                    bar.set_message(said);
                    bar.enable_steady_tick(TICK);
                    self.running.insert(step, bar);
                }
                Change::Update { step, said } => {
                    if let Some(bar) = self.running.get(&step) {
                        bar.set_message(said);
                    }
                }
                Change::End { step } => {
                    if let Some(bar) = self.running.remove(&step) {
                        bar.finish_and_clear();
                        self.screen.remove(&bar);
                    }
                }
            }
        }
        Ok(())
    }

    fn line(&self, line: &str) -> Result<(), Error> {
        self.screen.println(line).map_err(out::fault)
    }
}
