//! Flags of Prometheus that Swarmscout knows but does not act on.
//!
//! A `command:` line that was written for Prometheus is to start Swarmscout as it is. So every flag
//! of Prometheus 3.14 (and the ones of 2.x that stack files still carry) is known. One that does
//! nothing here gives a single warning; one whose absence would open a door or lose data is refused
//! until the part exists. The table is the only place where this is said: the command line, the
//! warnings and `docs/flags.md` are made from it.

/// A flag of Prometheus without an effect here.
#[derive(Clone, Copy, Debug)]
pub struct CompatFlag {
    /// Without the leading dashes.
    pub name: &'static str,
    /// What follows it on the command line.
    pub value: Value,
    /// What happens when it is given.
    pub verdict: Verdict,
}

/// What follows a flag on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: `--flag` or `--no-flag`.
    Switch,
    /// One value.
    One,
    /// One value, and the flag may be given several times.
    Many,
}

/// What happens when a flag of the table is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gives one warning with this reason.
    Ignored(&'static str),
    /// The program does not start; the text says what to do instead.
    Refused(&'static str),
}

const SERVER: Verdict = Verdict::Ignored(
    "it belongs to the Prometheus server's storage, queries, rules or alerts, which are not here",
);
const AGENT: Verdict =
    Verdict::Ignored("it belongs to the agent's storage, and nothing is stored here yet");
const SCRAPE: Verdict = Verdict::Ignored("it belongs to scraping, and nothing is scraped here yet");
const GO: Verdict = Verdict::Ignored("it tunes Go's runtime, and this is not a Go program");
const WEB: Verdict =
    Verdict::Ignored("it belongs to a part of Prometheus' web pages without a counterpart here");

/// All of them, by name.
pub const FLAGS: &[CompatFlag] = &[
    switch("alertmanager.drain-notification-queue-on-shutdown", SERVER),
    one("alertmanager.notification-batch-size", SERVER),
    one("alertmanager.notification-queue-capacity", SERVER),
    one("alertmanager.timeout", SERVER),
    switch("auto-gomaxprocs", GO),
    switch("auto-gomemlimit", GO),
    one("auto-gomemlimit.ratio", GO),
    one("auto-gomemlimit.refresh-interval", GO),
    many(
        "enable-feature",
        Verdict::Ignored(
            "of Prometheus' optional features only auto-reload-config has an effect here",
        ),
    ),
    one("query.lookback-delta", SERVER),
    one("query.max-concurrency", SERVER),
    one("query.max-samples", SERVER),
    one("query.timeout", SERVER),
    one("rules.alert.for-grace-period", SERVER),
    one("rules.alert.for-outage-tolerance", SERVER),
    one("rules.alert.resend-delay", SERVER),
    one("rules.max-concurrent-evals", SERVER),
    switch("scrape.adjust-timestamps", SCRAPE),
    one("scrape.discovery-reload-interval", SCRAPE),
    one("scrape.name-escaping-scheme", SCRAPE),
    one("scrape.timestamp-tolerance", SCRAPE),
    one("storage.agent.checkpoint-batch-size", AGENT),
    switch("storage.agent.checkpoint-from-in-memory-series", AGENT),
    switch("storage.agent.no-lockfile", AGENT),
    one("storage.agent.path", AGENT),
    one("storage.agent.retention.max-time", AGENT),
    one("storage.agent.retention.min-time", AGENT),
    switch("storage.agent.wal-compression", AGENT),
    one("storage.agent.wal-compression-type", AGENT),
    one("storage.agent.wal-segment-size", AGENT),
    one("storage.agent.wal-truncate-frequency", AGENT),
    one("storage.remote.flush-deadline", AGENT),
    one("storage.remote.read-concurrent-limit", SERVER),
    one("storage.remote.read-max-bytes-in-frame", SERVER),
    one("storage.remote.read-sample-limit", SERVER),
    switch("storage.tsdb.allow-overlapping-blocks", SERVER),
    switch("storage.tsdb.allow-overlapping-compaction", SERVER),
    one("storage.tsdb.block-reload-interval", SERVER),
    one("storage.tsdb.delay-compact-file.path", SERVER),
    one("storage.tsdb.delayed-compaction.max-percent", SERVER),
    one("storage.tsdb.head-chunks-write-queue-size", SERVER),
    one("storage.tsdb.max-block-chunk-segment-size", SERVER),
    one("storage.tsdb.max-block-duration", SERVER),
    one("storage.tsdb.min-block-duration", SERVER),
    switch("storage.tsdb.no-lockfile", SERVER),
    one("storage.tsdb.path", SERVER),
    one("storage.tsdb.retention", SERVER),
    one("storage.tsdb.retention.size", SERVER),
    one("storage.tsdb.retention.time", SERVER),
    one("storage.tsdb.samples-per-chunk", SERVER),
    switch("storage.tsdb.wal-compression", SERVER),
    one("storage.tsdb.wal-compression-type", SERVER),
    one("storage.tsdb.wal-segment-size", SERVER),
    one("web.console.libraries", WEB),
    one("web.console.templates", WEB),
    switch("web.enable-admin-api", WEB),
    switch(
        "web.enable-otlp-receiver",
        Verdict::Refused(
            "there is no OTLP receiver here, and data sent to it would be lost: send it to a Prometheus",
        ),
    ),
    switch(
        "web.enable-remote-write-receiver",
        Verdict::Refused(
            "there is no remote-write receiver here, and data sent to it would be lost: send it to \
             a Prometheus",
        ),
    ),
    one("web.max-notifications-subscribers", WEB),
    many("web.remote-write-receiver.accepted-protobuf-messages", WEB),
    one("web.search.max-limit", SERVER),
    one("web.user-assets", WEB),
];

const fn switch(name: &'static str, verdict: Verdict) -> CompatFlag {
    CompatFlag { name, value: Value::Switch, verdict }
}

const fn one(name: &'static str, verdict: Verdict) -> CompatFlag {
    CompatFlag { name, value: Value::One, verdict }
}

const fn many(name: &'static str, verdict: Verdict) -> CompatFlag {
    CompatFlag { name, value: Value::Many, verdict }
}
