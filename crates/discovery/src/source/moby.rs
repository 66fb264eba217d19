//! What the two Docker sources share, as in Prometheus' `discovery/moby`.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use swarmscout_docker::engine::{LabelMap, Network};
use swarmscout_model::{Labels, LabelsWriter};
use swarmscout_refresh::problems;

use crate::Problem;
use crate::limits::Excess;

/// A map by the ID that the Engine gives to an object.
pub(super) type ById<T> = HashMap<Arc<str>, T, RandomState>;

/// The labels of a network.
pub(super) fn network(
    prefix: &str,
    network: &Network,
    skipped: &mut Skipped,
    writer: &mut LabelsWriter,
) -> Labels {
    skipped.collisions("network", &network.id, &network.labels);
    let name = |suffix: &str| format!("{prefix}network_{suffix}");
    writer.push(&name("id"), &network.id);
    writer.push(&name("ingress"), truth(network.ingress));
    writer.push(&name("internal"), truth(network.internal));
    network.labels.write(&name("label_"), writer);
    writer.push(&name("name"), &network.name);
    writer.push(&name("scope"), &network.scope);
    writer.build()
}

/// As Go's `strconv.FormatBool`.
pub(super) const fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Writes addresses as Go's `net.JoinHostPort`, and reuses its memory.
#[derive(Debug, Default)]
pub(super) struct AddressWriter(String);

impl AddressWriter {
    /// `10.0.1.2:80`, `[2001:db8::1]:80`.
    pub(super) fn ip(&mut self, ip: IpAddr, port: impl Display) -> &str {
        match ip {
            IpAddr::V4(ip) => self.write(format_args!("{ip}:{port}")),
            IpAddr::V6(ip) => self.write(format_args!("[{ip}]:{port}")),
        }
    }

    /// For a host as received, which may be empty.
    pub(super) fn host(&mut self, host: &str, port: impl Display) -> &str {
        if host.contains(':') {
            self.write(format_args!("[{host}]:{port}"))
        } else {
            self.write(format_args!("{host}:{port}"))
        }
    }

    /// For any text.
    pub(super) fn write(&mut self, text: std::fmt::Arguments<'_>) -> &str {
        self.0.clear();
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(text);
        &self.0
    }
}

/// Problems with objects that make no target. Each is reported once, however many objects share it.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    reported: BTreeSet<Problem>,
    /// The number of problems that are not listed.
    more: usize,
}

impl Skipped {
    /// Notes a part of an object that makes no target.
    pub(super) fn part(
        &mut self,
        kind: &'static str,
        object: &str,
        reason: &'static str,
        detail: String,
    ) {
        if self.reported.len() < problems::MOST {
            let (object, detail) = (problems::shown(object).to_owned(), problems::cut(detail));
            self.reported.insert(Problem { kind, object, reason, detail });
        } else {
            self.more += 1;
        }
    }

    /// Whether a target or a group of an object fits into the limits. Who may start a container or
    /// change a service gives it any labels: those that are too long leave out what has them alone.
    pub(super) fn fits(
        &mut self,
        counted: Result<(), Excess>,
        kind: &'static str,
        object: &str,
    ) -> Result<bool, Excess> {
        match counted {
            Err(excess) if excess.is_of_one() => {
                self.part(kind, object, "labels too long", excess.to_string());
                Ok(false)
            }
            counted => counted.map(|()| true),
        }
    }

    /// Notes problems that were found before.
    pub(super) fn extend<'a>(&mut self, problems: impl IntoIterator<Item = &'a Problem>) {
        for problem in problems {
            if self.reported.len() < problems::MOST {
                self.reported.insert(problem.clone());
            } else {
                self.more += 1;
            }
        }
    }

    /// Notes the label keys of an object that become one name.
    pub(super) fn collisions(&mut self, kind: &'static str, object: &str, labels: &LabelMap) {
        for detail in labels.collisions() {
            self.part(kind, object, problems::COLLISION, detail);
        }
    }

    /// The problems in order. The last one counts those that are not listed.
    pub(super) fn into_problems(self) -> impl Iterator<Item = Problem> {
        let more = problems::not_listed(self.reported.last(), self.more);
        self.reported.into_iter().chain(more)
    }
}
