//! `dns_sd_configs`: targets from the records of names (Prometheus `discovery/dns`).
//!
//! - Every look asks anew, whatever time to live a record has, and reads `resolv.conf` before.
//! - A name is known by its last good answer: NOERROR, with or without records, or NXDOMAIN for all
//!   that it may be short for. Whatever else happens leaves its targets as they were, and is a
//!   [`Problem`].
//! - The age of the whole is that of the name that was confirmed longest ago, so a name that fails
//!   never looks fresh.
//! - Where every name fails the look fails; Prometheus only counts that. Targets stay either way.
//! - Questions leave one after the other, never in a burst ([`Resolver`]).
//!
//! The messages are read and written by the crate `domain`; sending them is ours, as no resolver
//! tells which server did what, or keeps NXDOMAIN apart from a failure where Prometheus does.

mod config;
mod exchange;
pub mod fuzzing;
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
use self::lookup::{Failure, Lookups, Said};
use self::records::Records;
use self::resolver::GAP;
pub use self::resolver::Resolver;
use super::moby::AddressWriter;
use super::partition::{Cut, Partition};
use crate::config::BuildContext;
use crate::figures::Figures;
use crate::limits::{Excess, LONGEST_LABEL, Meter};
use crate::{BoxFuture, Discoverer, Error, Groups, Problem, RefreshScope, Refreshed};
use swarmscout_model::groups::source_order;

/// So many names are named by an error that is about all of them.
const NAMED: usize = 5;

/// One of `dns_sd_configs`. The source of a group is the name as it was written.
#[derive(Debug)]
pub struct Dns {
    /// Each once.
    names: Vec<Name>,
    kind: Rtype,
    port: u16,
    /// For a whole look.
    deadline: Duration,
    resolver: Arc<Resolver>,
    figures: Arc<Figures>,
    budget: Budget,
}

#[derive(Debug)]
struct Name {
    name: String,
    /// What was answered when it was last known.
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    /// When it was asked for.
    as_of: Instant,
    groups: Groups,
    /// How many groups and targets that are.
    units: usize,
    _held: Charge,
}

impl Dns {
    /// The names of `config`. Nobody is asked yet.
    pub fn new(config: &DnsConfig, context: &BuildContext) -> Self {
        let mut names: Vec<Name> = Vec::new();
        for name in &config.names {
            if names.iter().all(|known| known.name != *name) {
                names.push(Name { name: name.clone(), known: None });
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
            figures: context.figures.clone(),
            budget: context.budget.clone(),
        }
    }

    async fn look(&mut self) -> Result<Refreshed<Groups>, Error> {
        let conf = self.resolver.read_conf(self.deadline).await?;
        let servers = u32::try_from(conf.servers.len()).unwrap_or(u32::MAX);
        let names = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let lookups = Lookups {
            resolver: &self.resolver,
            conf: &conf,
            kind: self.kind,
            // Every server gets its turn, also where the others are silent.
            wait: conf.timeout.min(self.deadline / servers.saturating_add(1)),
            // Each name may have to be asked for several times.
            gap: GAP.min(self.deadline / names.saturating_mul(4)),
            end: Instant::now() + self.deadline,
        };
        let found = lookups.find_all(self.names.iter().map(|name| name.name.as_str())).await;

        let file = self.resolver.path().display().to_string();
        let mut problems: Vec<_> =
            conf.unusable.iter().map(|server| unusable(&file, server)).collect();
        let mut failures = Vec::new();
        let known = self.names.iter().filter_map(|name| name.known.as_ref());
        let mut units: usize = known.map(|known| known.units).sum();
        for (name, (asked, found)) in self.names.iter_mut().zip(found) {
            let problem = |object: &str, reason, detail| Problem {
                kind: "name",
                object: object.to_owned(),
                reason,
                detail,
            };
            let Name { name, known } = name;
            self.figures.dns_lookups.add(1);
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
                    let before = known.as_ref();
                    let others = units - before.map_or(0, |known| known.units);
                    let before = before.map_or(&[][..], |known| &known.groups);
                    let mut meter = Meter::new(&self.budget, LONGEST_LABEL).beside(others);
                    let groups = groups(name, &records, self.port, before, &mut meter)
                        .map_err(|excess| Error::Excess { what: name.clone(), excess })?;
                    units = meter.units();
                    *known = Some(Known {
                        as_of: asked,
                        groups,
                        units: units - others,
                        _held: meter.finish(),
                    });
                }
                Err(Failure { absent, detail }) => {
                    self.figures.dns_lookup_failures.add(1);
                    let reason = if absent { "no server answered" } else { "lookup failed" };
                    failures.push(problem(name, reason, detail));
                }
            }
        }
        if failures.len() == self.names.len() {
            return Err(all_failed(failures));
        }
        problems.extend(failures);
        let known = || self.names.iter().filter_map(|name| name.known.as_ref());
        let mut groups: Groups = known().flat_map(|known| known.groups.iter().cloned()).collect();
        groups.sort_by(|a, b| source_order(&a.source, &b.source));
        let as_of = known().map(|known| known.as_of).min().expect("not all names failed");
        Ok(Refreshed { value: groups, as_of: as_of.into_std(), problems })
    }
}

impl Discoverer for Dns {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(self.look())
    }
}

/// The groups of a name; those of before where nothing differs.
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
    let mut cut = Cut::new(before);
    targets.groups(name, &labels, &mut cut, meter)?;
    Ok(cut.into_groups())
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
