//! `status --watch`: asks again and again. A terminal is redrawn in place; elsewhere a block is
//! appended when something has changed.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use swarmscout_diagnose::status::{LastDoctor, StatusReport};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::NO_RESULT;
use super::page::{Line, Style, Window};
use super::status::{Next, Origin, age, code, failure, rows};
use crate::cli::DiagnoseFormat;
use crate::output::{print_error, print_unwritten, printable};
use crate::signals::Signals;

/// Runs until a signal, or until stdout is closed.
pub(super) async fn run(
    origin: Origin,
    every: Duration,
    format: DiagnoseFormat,
    next: &Next,
) -> ExitCode {
    let signals = Signals::new().and_then(|signals| {
        let resized = signal(SignalKind::window_change())?;
        Ok((signals, resized))
    });
    let (mut signals, mut resized) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            print_error(&format!("cannot receive signals: {error}\n"));
            return ExitCode::from(NO_RESULT);
        }
    };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut output = match format {
        DiagnoseFormat::Json => Output::Json,
        DiagnoseFormat::Text if Window::of_stdout().redraws => Output::Screen(Screen::open()),
        DiagnoseFormat::Text => Output::Blocks,
    };
    let mut seen = Seen::default();
    let unwritten = loop {
        let asks = tokio::select! {
            _ = signals.next() => break None,
            _ = ticks.tick() => true,
            _ = resized.recv() => false,
        };
        let mut changed = false;
        if asks {
            let answer = tokio::select! {
                _ = signals.next() => break None,
                answer = origin.report() => answer,
            };
            changed = seen.take(answer, Instant::now());
        }
        if let Err(error) = output.show(&seen, changed, every, next) {
            // A reader that has gone is the usual end of this.
            break Some(error).filter(|error| error.kind() != ErrorKind::BrokenPipe);
        }
    };
    // The terminal is as it was before anything else takes time.
    drop(output);
    origin.close().await;
    if let Some(error) = unwritten {
        print_unwritten(&error);
        return ExitCode::FAILURE;
    }
    match (&seen.error, &seen.last) {
        (None, Some((report, _))) => code(report),
        _ => ExitCode::from(NO_RESULT),
    }
}

/// What was answered so far.
#[derive(Debug, Default)]
struct Seen {
    /// The last report, and when it came.
    last: Option<(StatusReport, Instant)>,
    /// Why there was no report the last time.
    error: Option<String>,
}

impl Seen {
    /// Takes an answer. Whether it says something new.
    fn take(&mut self, answer: anyhow::Result<StatusReport>, now: Instant) -> bool {
        match answer {
            Ok(report) => {
                let was = self.last.take().map(|(report, _)| without_ages(report));
                let is_back = self.error.take().is_some();
                let changed = is_back || was != Some(without_ages(report.clone()));
                self.last = Some((report, now));
                changed
            }
            Err(error) => {
                let error = Some(printable(&format!("{error:#}")));
                let changed = self.error != error;
                self.error = error;
                changed
            }
        }
    }
}

/// What changes although nothing has happened is left out.
fn without_ages(mut report: StatusReport) -> StatusReport {
    report.swarms.iter_mut().for_each(|swarm| swarm.age_seconds = None);
    report.other_sources.iter_mut().for_each(|source| source.age_seconds = None);
    report.last_doctor = report.last_doctor.map(|last| LastDoctor { age_seconds: 0.0, ..last });
    report
}

enum Output {
    Screen(Screen),
    Blocks,
    /// One line for each report; errors to stderr.
    Json,
}

impl Output {
    fn show(&mut self, seen: &Seen, changed: bool, every: Duration, next: &Next) -> io::Result<()> {
        match self {
            Self::Screen(_) => {
                let window = Window::of_stdout();
                write(&frame(&screen_rows(seen, window, every, next, Instant::now())))
            }
            Self::Blocks if changed => write(&block(seen, next, Timestamp::now())),
            Self::Json if changed => match (&seen.error, &seen.last) {
                (Some(error), _) => {
                    print_error(&format!("{}\n", failure(error)));
                    Ok(())
                }
                (None, Some((report, _))) => {
                    let json = serde_json::to_string(report).expect("its keys are strings");
                    write(&format!("{json}\n"))
                }
                (None, None) => Ok(()),
            },
            Self::Blocks | Self::Json => Ok(()),
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What is shown on a terminal.
fn screen_rows(
    seen: &Seen,
    window: Window,
    every: Duration,
    next: &Next,
    now: Instant,
) -> Vec<String> {
    let mut top = Vec::new();
    if let Some(error) = &seen.error {
        top.push(Line::styled(Style::Bad, "NO ANSWER  ", error));
        if let Some((_, at)) = &seen.last {
            let age = age(now.saturating_duration_since(*at).as_secs_f64());
            top.push(Line::new(&format!("The last answer, {age} ago:")));
        }
    }
    let end = Line::new(&format!("asks again every {every:?}; Ctrl-C ends it"));
    let mut all: Vec<_> = top.iter().flat_map(|line| window.rows(line)).collect();
    let end = window.rows(&end);
    if let Some((report, _)) = &seen.last {
        all.extend(rows(report, next, window, all.len() + end.len()));
    }
    let height = window.size.map_or(usize::MAX, |size| size.rows);
    all.truncate(height.saturating_sub(end.len()));
    all.extend(end);
    all
}

/// What is appended to a pipe or file.
fn block(seen: &Seen, next: &Next, now: Timestamp) -> String {
    let now = now.round(Unit::Second).unwrap_or(now);
    let rows = match (&seen.error, &seen.last) {
        (Some(error), _) => vec![failure(error)],
        (None, Some((report, _))) => rows(report, next, Window::default(), 0),
        (None, None) => Vec::new(),
    };
    format!("--- {now}\n{}\n\n", rows.join("\n"))
}

/// Draws rows over those of before.
fn frame(rows: &[String]) -> String {
    let mut text = String::from("\u{1b}[H");
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            text.push_str("\r\n");
        }
        text.push_str(row);
        // Clears the rest of the row.
        text.push_str("\u{1b}[K");
    }
    // Clears what is below.
    text.push_str("\u{1b}[J");
    text
}

/// The other screen of a terminal, without cursor and line wrap. The terminal is as before when this
/// is dropped.
struct Screen;

impl Screen {
    fn open() -> Self {
        // A terminal that has gone is noticed by the next write.
        let _ = write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J");
        Self
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l");
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use expect_test::expect;
    use swarmscout_diagnose::doctor::Subject;

    use super::*;
    use crate::diagnose::page::Size;

    /// The report of a program without jobs.
    fn report(health: &str) -> StatusReport {
        let subject = Subject::default();
        let report = StatusReport::of(&subject, Instant::now());
        StatusReport { health: health.to_owned(), findings: Vec::new(), ..report }
    }

    fn aged(health: &str, age_seconds: f64) -> StatusReport {
        let last_doctor = Some(LastDoctor { age_seconds, probed: 1, up: 1, guarded: 0 });
        StatusReport { last_doctor, ..report(health) }
    }

    #[test]
    fn an_answer_is_news_if_more_than_ages_differ() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        for (answer, is_new) in [
            (Ok(aged("OK", 1.0)), true),
            (Ok(aged("OK", 2.0)), false),
            (Ok(aged("1 error", 3.0)), true),
            (Err("refused"), true),
            (Err("refused"), false),
            (Err("timeout"), true),
            // It is back, with what it said before.
            (Ok(aged("1 error", 9.0)), true),
            (Ok(report("1 error")), true),
        ] {
            let shown = format!("{answer:?}");
            let answer = answer.map_err(|error| anyhow!("{error}"));
            assert_eq!(seen.take(answer, now), is_new, "{shown}");
        }
    }

    #[test]
    fn a_server_that_went_away_leaves_its_last_report() {
        let now = Instant::now();
        let mut seen = Seen::default();
        seen.take(Ok(report("5 nodes")), now);
        seen.take(Err(anyhow!("connection refused")), now);
        let size = Some(Size { columns: 60, rows: 24 });
        let window = Window { size, ..Window::default() };
        let (next, every) = (Next::default(), Duration::from_secs(2));
        let after = now + Duration::from_secs(7);
        let rows = screen_rows(&seen, window, every, &next, after);
        expect![[r#"
            NO ANSWER  connection refused
            The last answer, 7 s ago:
            5 nodes

            next: swarmscout doctor probes the targets
            asks again every 2s; Ctrl-C ends it
        "#]]
        .assert_eq(&format!("{}\n", rows.join("\n")));

        let size = Some(Size { columns: 60, rows: 3 });
        let rows = screen_rows(&seen, Window { size, ..window }, every, &next, after);
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert_eq!(rows[2], "asks again every 2s; Ctrl-C ends it");

        expect![[r#"
            --- 2026-11-30T02:41:11Z
            cannot show the status: connection refused

        "#]]
        .assert_eq(&block(&seen, &next, "2026-11-30T02:41:10.7Z".parse().unwrap()));
    }

    #[test]
    fn a_frame_replaces_the_one_before() {
        let rows = ["a", "b"].map(str::to_owned);
        assert_eq!(frame(&rows), "\u{1b}[Ha\u{1b}[K\r\nb\u{1b}[K\u{1b}[J");
    }
}
