//! `dns_sd_configs`: targets from the records of names (Prometheus `discovery/dns`).
//!
//! - Every refresh reads `resolv.conf`, then asks for each name. The time to live of a record does
//!   not matter.
//! - A name keeps its last good answer: NOERROR, with or without records, or NXDOMAIN for all
//!   candidates of a short name. Any other outcome is a [`Problem`], and the targets stay.
//! - The age of the result is that of the name confirmed longest ago. So the targets of a failing
//!   name never seem fresh.
//! - If every name fails, the refresh fails; Prometheus only counts that. Targets stay either way.
//! - Questions are sent one after the other, never in a burst ([`Resolver`]).
//!
//! The crate `domain` reads and writes the messages. We send them ourselves: no resolver library
//! reports what each server did, or distinguishes NXDOMAIN from a failure as Prometheus does.

mod config;
mod exchange;
pub mod fuzzing;
mod keys;
mod lookup;
mod records;
mod resolv_conf;
mod resolver;

use std::sync::Arc;
use std::time::Duration;

use domain::base::Rtype;
use swarmscout_model::labels::ADDRESS;
use swarmscout_model::{Budget, Charge, Labels, LabelsWriter, TargetGroup};
use tokio::time::Instant;

pub use self::config::{DnsConfig, RecordType};
pub use self::keys::DnsSdKeys;
use self::lookup::{Failure, Lookups, Said};
use self::records::Records;
use self::resolver::GAP;
pub use self::resolver::Resolver;
use super::moby::AddressWriter;
use super::partition::{GroupDiff, Partition};
use crate::config::BuildContext;
use crate::limits::{Excess, LONGEST_LABEL, Meter};
use crate::stats::DiscoveryStats;
use crate::{BoxFuture, Discoverer, Error, Groups, Problem, RefreshScope, Refreshed};
use swarmscout_model::groups::source_order;

/// The most names that an error about all names lists.
const NAMED: usize = 5;

/// One of `dns_sd_configs`. The source key of a group is the name as configured.
#[derive(Debug)]
pub struct Dns {
    /// Each once.
    names: Vec<Name>,
    kind: Rtype,
    port: u16,
    /// For a whole refresh.
    deadline: Duration,
    resolver: Arc<Resolver>,
    stats: Arc<DiscoveryStats>,
    budget: Budget,
}

#[derive(Debug)]
struct Name {
    name: String,
    last_good: Option<LastAnswer>,
}

/// The last good answer for a name.
#[derive(Debug)]
struct LastAnswer {
    /// When the question was asked.
    as_of: Instant,
    groups: Groups,
    /// The number of groups and targets.
    units: usize,
    _held: Charge,
}

impl Dns {
    /// A source for the names of `config`. Sends no question yet.
    pub fn new(config: &DnsConfig, context: &BuildContext) -> Self {
        let mut names: Vec<Name> = Vec::new();
        for name in &config.names {
            if names.iter().all(|other| other.name != *name) {
                names.push(Name { name: name.clone(), last_good: None });
            }
        }
        let kind = match config.record_type {
            RecordType::A => Rtype::A,
            RecordType::Aaaa => Rtype::AAAA,
            RecordType::Srv => Rtype::SRV,
            RecordType::Mx => Rtype::MX,
            RecordType::Ns => Rtype::NS,
        };
        Self {
            names,
            kind,
            port: config.port,
            deadline: context.refresh.attempt_deadline(config.refresh_interval, 0),
            resolver: context.dns.clone(),
            stats: context.stats.clone(),
            budget: context.refresh.budget.clone(),
        }
    }

    async fn refresh(&mut self) -> Result<Refreshed<Groups>, Error> {
        let conf = self.resolver.read_conf(self.deadline).await?;
        let servers = u32::try_from(conf.servers.len()).unwrap_or(u32::MAX);
        let names = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let lookups = Lookups {
            resolver: &self.resolver,
            conf: &conf,
            kind: self.kind,
            // Every server gets its turn, even if the others are silent.
            wait: conf.timeout.min(self.deadline / servers.saturating_add(1)),
            // A name may take several questions.
            gap: GAP.min(self.deadline / names.saturating_mul(4)),
            end: Instant::now() + self.deadline,
        };
        let found = lookups.find_all(self.names.iter().map(|name| name.name.as_str())).await;

        let file = self.resolver.path().display().to_string();
        let mut problems: Vec<_> =
            conf.unusable.iter().map(|server| unusable(&file, server)).collect();
        let mut failures = Vec::new();
        let last_good = self.names.iter().filter_map(|name| name.last_good.as_ref());
        let mut units: usize = last_good.map(|answer| answer.units).sum();
        for (name, (asked, found)) in self.names.iter_mut().zip(found) {
            let problem = |object: &str, reason, detail| Problem {
                kind: "name",
                object: object.to_owned(),
                reason,
                detail,
            };
            let Name { name, last_good } = name;
            self.stats.dns_lookups.add(1);
            match found {
                Ok(said) => {
                    let records = match said {
                        Said::Known(records) => records,
                        Said::Unknown(detail) => {
                            problems.push(problem(name, "no such name", detail));
                            Records::default()
                        }
                    };
                    for other in &records.others {
                        let text = "record of another type";
                        problems.push(problem(name, text, other.to_string()));
                    }
                    let before = last_good.as_ref();
                    let others = units - before.map_or(0, |answer| answer.units);
                    let before = before.map_or(&[][..], |answer| &answer.groups);
                    let mut meter = Meter::new(&self.budget, LONGEST_LABEL).beside(others);
                    let groups = groups(name, &records, self.port, before, &mut meter)
                        .map_err(|excess| Error::Excess { what: name.clone(), excess })?;
                    units = meter.units();
                    *last_good = Some(LastAnswer {
                        as_of: asked,
                        groups,
                        units: units - others,
                        _held: meter.finish(),
                    });
                }
                Err(Failure { absent, detail }) => {
                    self.stats.dns_lookup_failures.add(1);
                    let reason = if absent { "no server answered" } else { "lookup failed" };
                    failures.push(problem(name, reason, detail));
                }
            }
        }
        if failures.len() == self.names.len() {
            return Err(all_failed(failures));
        }
        problems.extend(failures);
        let last_good = || self.names.iter().filter_map(|name| name.last_good.as_ref());
        let mut groups: Groups =
            last_good().flat_map(|answer| answer.groups.iter().cloned()).collect();
        groups.sort_by(|a, b| source_order(&a.source, &b.source));
        let as_of = last_good().map(|answer| answer.as_of).min().expect("not all names failed");
        Ok(Refreshed { value: groups, as_of: as_of.into_std(), problems })
    }
}

impl Discoverer for Dns {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(self.refresh())
    }
}

/// The groups of a name. Unchanged groups are those of `before`.
fn groups(
    name: &str,
    records: &Records,
    port: u16,
    before: &[Arc<TargetGroup>],
    meter: &mut Meter,
) -> Result<Groups, Excess> {
    let mut writer = LabelsWriter::new();
    let mut address = AddressWriter::default();
    let mut targets = Partition::default();
    for found in &records.found {
        let target = found.labels(port, &mut address, &mut writer);
        meter.target(&target, || name.to_owned())?;
        targets.push(target.get(ADDRESS).unwrap_or_default(), target.clone());
    }
    let labels: Labels = [("__meta_dns_name", name)].into_iter().collect();
    let mut diff = GroupDiff::new(before);
    targets.groups(name, &labels, &mut diff, meter)?;
    Ok(diff.into_groups())
}

fn unusable(file: &str, server: &str) -> Problem {
    Problem {
        kind: "file",
        object: file.to_owned(),
        reason: "name server cannot be asked",
        detail: server.to_owned(),
    }
}

fn all_failed(failures: Vec<Problem>) -> Error {
    let others = failures.len().saturating_sub(NAMED);
    let mut lines: Vec<_> =
        failures.into_iter().take(NAMED).map(|failure| failure.detail).collect();
    if others > 0 {
        lines.push(format!("{others} more names"));
    }
    Error::AllNames(lines)
}

#[cfg(test)]
mod tests;
