//! Log lines in the shape of Go's slog, as Prometheus 3 writes them, so that what reads the one
//! reads the other:
//!
//! ```text
//! time=2026-11-23T06:41:00.123Z level=INFO source=app.rs:97 msg="Server is ready" address=…
//! ```
//!
//! A line holds whatever was found out there (labels, answers, error texts), so every value is
//! escaped: nothing can end the line or move the cursor. A stderr that is closed or full loses
//! lines, never the program (`queue`).

mod queue;

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{
    FmtContext, FormatEvent, FormatFields, FormattedFields, Layer, MakeWriter,
};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use self::queue::Queue;
use crate::cli::{LogArgs, LogFormat, LogLevel};
use crate::output::is_invisible;

/// The log of the process. Its last lines are written when it is dropped, as far as stderr takes
/// them within half a second.
#[derive(Debug)]
#[must_use]
pub struct Log(Queue);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// Set once the log is.
static OF_PROCESS: OnceLock<Queue> = OnceLock::new();

/// Lines that were not written because stderr was not read, since the program started.
pub fn dropped() -> u64 {
    OF_PROCESS.get().map_or(0, Queue::dropped)
}

/// How long the end of the program may wait for stderr.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Sends the log of the whole process to stderr, panics included. To be called once, by `main`.
pub fn init(args: LogArgs) -> anyhow::Result<Log> {
    let queue = Queue::default();
    queue.start(io::stderr(), |lines| {
        tracing::warn!(lines, "Log lines were dropped: stderr was not read");
    })?;
    tracing::subscriber::set_global_default(subscriber(args, queue.clone()))?;
    let _ = OF_PROCESS.set(queue.clone());
    // Written to stderr at once, a panic would wait there while it is not read.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(cause = %panic, "Internal error, please report it: a thread panicked");
    }));
    Ok(Log(queue))
}

/// What turns events into lines. Of libraries that are not ours only warnings and errors are
/// written.
pub fn subscriber<W>(args: LogArgs, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = LevelFilter::from(match args.level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    });
    let filter =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("swarmscout", level);
    let lines = Layer::new()
        .with_writer(writer)
        .with_ansi(false)
        // It would be reported with eprintln!, which panics where stderr is closed.
        .log_internal_errors(false)
        .fmt_fields(args.format)
        .event_format(args.format);
    tracing_subscriber::registry().with(filter).with(lines)
}

impl<S, N> FormatEvent<S, N> for LogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG | Level::TRACE => "DEBUG",
        };
        let file = metadata.file().map_or(Path::new("unknown"), Path::new);
        let file = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
        let line = metadata.line().unwrap_or_default();
        let now = Timestamp::now();

        let mut visitor = Fields::new(*self);
        event.record(&mut visitor);
        let Fields { message, mut text, .. } = visitor;
        if let Some(scope) = ctx.event_scope() {
            for span in scope {
                if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                    text.push_str(&fields.fields);
                }
            }
        }
        match self {
            Self::Logfmt => {
                write!(writer, "time={now:.3} level={level} source={file}:{line} msg=")?;
                write_logfmt(&mut writer, &message)?;
                writeln!(writer, "{text}")
            }
            Self::Json => {
                write!(writer, r#"{{"time":"{now:.3}","level":"{level}","#)?;
                write!(writer, r#""source":{},"#, json_string(&format!("{file}:{line}")))?;
                writeln!(writer, r#""msg":{}{text}}}"#, json_string(&message))
            }
        }
    }
}

impl<'w> FormatFields<'w> for LogFormat {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'w>,
        fields: R,
    ) -> fmt::Result {
        let mut visitor = Fields::new(*self);
        fields.record(&mut visitor);
        writer.write_str(&visitor.text)
    }
}

/// The fields of an event or span as they stand in the line: ` key=value` or `,"key":value` each.
struct Fields {
    format: LogFormat,
    message: String,
    text: String,
}

impl Fields {
    fn new(format: LogFormat) -> Self {
        Self { format, message: String::new(), text: String::new() }
    }

    /// Adds a number or boolean, which needs no quotes.
    fn bare(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field.name());
        write!(self.text, "{value}").expect("a string takes all");
    }

    fn string(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
            return;
        }
        self.key(field.name());
        match self.format {
            LogFormat::Logfmt => {
                write_logfmt(&mut self.text, &value).expect("a string takes all");
            }
            LogFormat::Json => self.text.push_str(&json_string(&value)),
        }
    }

    /// A key may not stand twice in a JSON object.
    fn key(&mut self, name: &str) {
        let taken = matches!(name, "time" | "level" | "source" | "msg");
        let prefix = if taken { "field_" } else { "" };
        match self.format {
            LogFormat::Logfmt => write!(self.text, " {prefix}{name}="),
            LogFormat::Json => write!(self.text, r#","{prefix}{name}":"#),
        }
        .expect("a string takes all");
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.string(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for them.
        if value.is_finite() {
            self.bare(field, value);
        } else {
            self.string(field, value.to_string());
        }
    }

    /// An error with its causes.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            write!(text, ": {error}").expect("a string takes all");
            cause = error.source();
        }
        self.string(field, text);
    }
}

/// As slog's TextHandler: quoted where a reader could take it for anything else than one value.
fn write_logfmt(out: &mut impl fmt::Write, value: &str) -> fmt::Result {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(|c| plain(c) && !is_invisible(c)) {
        return out.write_str(value);
    }
    out.write_char('"')?;
    for c in value.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c if c.is_ascii_control() => write!(out, "\\x{:02x}", u32::from(c))?,
            c if c.is_control() || is_invisible(c) => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    out.write_char('"')
}

fn json_string(value: &str) -> String {
    let text = serde_json::Value::from(value).to_string();
    if !text.contains(is_invisible) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 5);
    for c in text.chars() {
        if is_invisible(c) {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("a string takes all");
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use expect_test::{Expect, expect};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `log` writes, with time and place made constant.
    pub(crate) fn lines(level: LogLevel, format: LogFormat, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = subscriber(LogArgs { level, format }, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let bytes = std::mem::take(&mut *buffer.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines().map(|line| {
            let from = line.find("20").unwrap();
            let to = from + line[from..].find('Z').unwrap() + 1;
            let time: Timestamp = line[from..to].parse().unwrap();
            assert!(Timestamp::now().duration_since(time).as_secs() < 60, "{line}");
            let source = line.find(".rs:").unwrap() + ".rs:".len();
            let digits = line[source..].find(|c: char| !c.is_ascii_digit()).unwrap();
            format!("{}TIME{}N{}\n", &line[..from], &line[to..source], &line[source + digits..])
        });
        lines.collect::<Vec<_>>().concat()
    }

    #[track_caller]
    fn check(format: LogFormat, log: impl FnOnce(), expected: &Expect) {
        expected.assert_eq(&lines(LogLevel::Info, format, log));
    }

    fn awkward() {
        let span = tracing::info_span!("refresh", job = "a b", source = "swarm/0");
        let _guard = span.enter();
        let error = io::Error::other(fmt::Error);
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            path = %"C:\\x",
            empty = "",
            evil = "a\"\n\u{1b}[2Jlevel=ERROR\u{202e}",
            umlaut = "ü✓",
            number = -3,
            big = 7_u64,
            ratio = 0.5,
            nan = f64::NAN,
            yes = true,
            list = ?["x", "y"],
            "Cannot refresh"
        );
    }

    #[test]
    fn logfmt_is_slogs() {
        check(
            LogFormat::Logfmt,
            awkward,
            &expect![[r#"
                time=TIME level=WARN source=logging.rs:N msg="Cannot refresh" error="an error occurred when formatting an argument" path="C:\\x" empty="" evil="a\"\n\x1b[2Jlevel=ERROR\u202e" umlaut=ü✓ number=-3 big=7 ratio=0.5 nan=NaN yes=true list="[\"x\", \"y\"]" job="a b" field_source=swarm/0
            "#]],
        );
    }

    #[test]
    fn json_is_slogs() {
        check(
            LogFormat::Json,
            awkward,
            &expect![[r#"
                {"time":"TIME","level":"WARN","source":"logging.rs:N","msg":"Cannot refresh","error":"an error occurred when formatting an argument","path":"C:\\x","empty":"","evil":"a\"\n\u001b[2Jlevel=ERROR\u202e","umlaut":"ü✓","number":-3,"big":7,"ratio":0.5,"nan":"NaN","yes":true,"list":"[\"x\", \"y\"]","job":"a b","field_source":"swarm/0"}
            "#]],
        );
        let line = lines(LogLevel::Info, LogFormat::Json, awkward).replace("TIME", "");
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    }

    #[test]
    fn less_severe_lines_and_those_of_libraries_are_left_out() {
        let log = || {
            tracing::debug!("debug");
            tracing::info!("info");
            tracing::error!("error");
            tracing::info!(target: "hyper::proto", "info of a library");
            tracing::warn!(target: "hyper::proto", "warning of a library");
        };
        for (level, expected) in
            [(LogLevel::Debug, 4), (LogLevel::Info, 3), (LogLevel::Warn, 2), (LogLevel::Error, 1)]
        {
            assert_eq!(lines(level, LogFormat::Logfmt, log).lines().count(), expected, "{level:?}");
        }
    }

    #[test]
    fn a_writer_that_fails_loses_the_line_only() {
        struct Closed;
        impl io::Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let args = LogArgs { level: LogLevel::Info, format: LogFormat::Logfmt };
        tracing::subscriber::with_default(subscriber(args, || Closed), awkward);
    }
}
