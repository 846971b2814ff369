//! A line on stderr that says what is being waited for; only on a terminal, and only when the wait is long enough to
//! notice.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How long a wait is before it is worth a line.
const QUIET: Duration = Duration::from_millis(400);
/// The least time between two drawings.
const REDRAW: Duration = Duration::from_millis(100);

/// The line. It is wiped when this is dropped.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    enabled: bool,
    started: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// A line that appears on stderr where that is a terminal.
    pub fn on_terminal() -> Self {
        Progress { enabled: std::io::stderr().is_terminal(), ..Progress::silent() }
    }

    /// A line that never appears.
    pub fn silent() -> Self {
        Progress { shown: false, enabled: false, started: Instant::now(), drawn: None }
    }

    /// Draws `text` with the seconds waited so far.
    pub fn tick(&mut self, text: &str) {
        let due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        if self.enabled && due && self.started.elapsed() >= QUIET {
            eprint!("\r\x1b[K{text} {:.1} s", self.started.elapsed().as_secs_f64());
            let _ = std::io::stderr().flush();
            self.drawn = Some(Instant::now());
            self.shown = true;
        }
    }

    /// Wipes the line, for other talk to take its place.
    pub fn clear(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
            self.shown = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
