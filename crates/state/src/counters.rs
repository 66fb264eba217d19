//! Counters that outlive what they are counted by: a Swarm is followed from scratch after a reload, and
//! after a restart.
//!
//! IDs of services are never used twice, in no Swarm. So what is known of a service is added up by its
//! ID alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use swarmscout_swarm::{ExitCode, Reason, ServiceOutcomes, Snapshot};

/// The most services whose counters are kept.
const MOST_SERVICES: usize = 100_000;

/// What became of the tasks of all services.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// From before the Swarm was followed.
    base: BTreeMap<Arc<str>, ServiceOutcomes>,
    /// Since then.
    seen: HashMap<Arc<str>, Arc<ServiceOutcomes>>,
    changed: bool,
}

impl Counters {
    /// What became of the tasks of a service.
    pub(crate) fn of(&self, service: &str) -> ServiceOutcomes {
        let mut sum = self.base.get(service).cloned().unwrap_or_default();
        if let Some(seen) = self.seen.get(service) {
            add(&mut sum, seen);
        }
        sum
    }

    /// Follows to another state of a Swarm.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot) {
        for (id, now) in snapshot.outcomes.iter() {
            let before = self.seen.get(id);
            if before.is_some_and(|before| Arc::ptr_eq(before, now) || before == now) {
                continue;
            }
            self.changed = true;
            if let Some(before) = before
                && has_restarted(before, now)
            {
                add(self.base.entry(Arc::clone(id)).or_default(), before);
            }
            self.seen.insert(Arc::clone(id), Arc::clone(now));
        }
    }

    /// Forgets services that no Swarm has any more. `is_known` says whether one has it.
    pub(crate) fn forget(&mut self, is_known: impl Fn(&str) -> bool) {
        let before = self.base.len() + self.seen.len();
        self.base.retain(|id, _| is_known(id));
        self.seen.retain(|id, _| is_known(id));
        self.changed |= before != self.base.len() + self.seen.len();
    }

    /// Whether anything changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// As if one had changed.
    pub(crate) fn set_changed(&mut self) {
        self.changed = true;
    }

    /// All of them, as they are stored.
    pub(crate) fn store(&self) -> Vec<u8> {
        let ids: BTreeSet<_> = self.base.keys().chain(self.seen.keys()).collect();
        let ids = ids.into_iter().take(MOST_SERVICES);
        let services = ids.map(|id| (&**id, Stored::of(&self.of(id)))).collect();
        let file = File { version: VERSION, services };
        serde_json::to_vec(&file).expect("its keys are strings")
    }

    /// Takes over what was stored.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is of another version.
    pub(crate) fn restore(&mut self, stored: &[u8]) -> Result<(), String> {
        let file: ReadFile = serde_json::from_slice(stored).map_err(|error| error.to_string())?;
        if file.version != VERSION {
            return Err(format!("it has version {}, this is version {VERSION}", file.version));
        }
        for (id, stored) in file.services {
            add(self.base.entry(id).or_default(), &stored);
        }
        Ok(())
    }
}

/// Whether the counters of a service began again: one of them fell.
fn has_restarted(before: &ServiceOutcomes, now: &ServiceOutcomes) -> bool {
    let of = |outcomes: &ServiceOutcomes, key| outcomes.failures.get(key).copied().unwrap_or(0);
    now.restarts < before.restarts
        || before.failures.keys().any(|key| of(now, key) < of(before, key))
}

fn add(sum: &mut ServiceOutcomes, other: &ServiceOutcomes) {
    for (key, number) in &other.failures {
        let known = sum.failures.entry(*key).or_default();
        *known = known.saturating_add(*number);
    }
    sum.restarts = sum.restarts.saturating_add(other.restarts);
    sum.last_success = sum.last_success.max(other.last_success);
}

const VERSION: u32 = 1;

/// The file of all counters.
#[derive(Debug, Serialize)]
struct File<'a> {
    version: u32,
    services: BTreeMap<&'a str, Stored>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    /// Reason, exit code (0: none, 256: another one than Linux has), number.
    failures: Vec<(&'static str, u16, u64)>,
    restarts: u64,
    last_success: i64,
}

impl Stored {
    fn of(outcomes: &ServiceOutcomes) -> Self {
        let failures = outcomes.failures.iter().map(|((reason, code), number)| {
            let code = match code {
                ExitCode::None => 0,
                ExitCode::Code(code) => u16::from(*code),
                ExitCode::Other => 256,
            };
            (reason.as_str(), code, *number)
        });
        Self {
            failures: failures.collect(),
            restarts: outcomes.restarts,
            last_success: outcomes.last_success,
        }
    }
}

/// The same, as it is read: whatever a file of some size holds, this is not much larger.
#[derive(Debug, Deserialize)]
struct ReadFile {
    version: u32,
    #[serde(deserialize_with = "read_services")]
    services: BTreeMap<Arc<str>, ServiceOutcomes>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadStored {
    #[serde(deserialize_with = "read_failures")]
    failures: BTreeMap<(Reason, ExitCode), u64>,
    restarts: u64,
    last_success: i64,
}

fn read_services<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<Arc<str>, ServiceOutcomes>, D::Error> {
    struct Services;

    impl<'de> Visitor<'de> for Services {
        type Value = BTreeMap<Arc<str>, ServiceOutcomes>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("counters by the ID of a service")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut services = Self::Value::new();
            while let Some((id, stored)) = map.next_entry::<String, ReadStored>()? {
                let ReadStored { failures, restarts, last_success } = stored;
                services.insert(id.into(), ServiceOutcomes { failures, restarts, last_success });
                if services.len() > MOST_SERVICES {
                    let text = format!("it has more than {MOST_SERVICES} services");
                    return Err(A::Error::custom(text));
                }
            }
            Ok(services)
        }
    }

    from.deserialize_map(Services)
}

fn read_failures<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<BTreeMap<(Reason, ExitCode), u64>, D::Error> {
    struct Failures;

    impl<'de> Visitor<'de> for Failures {
        type Value = BTreeMap<(Reason, ExitCode), u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("failures of a service")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut failures = Self::Value::new();
            while let Some((ReadReason(reason), code, number)) =
                seq.next_element::<(ReadReason, u16, u64)>()?
            {
                let code = match u8::try_from(code) {
                    Ok(0) => ExitCode::None,
                    Ok(code) => ExitCode::Code(code),
                    Err(_) => ExitCode::Other,
                };
                let known = failures.entry((reason, code)).or_default();
                *known = u64::saturating_add(*known, number);
            }
            Ok(failures)
        }
    }

    from.deserialize_seq(Failures)
}

/// A reason that this version does not know is [`Reason::Other`].
struct ReadReason(Reason);

impl<'de> Deserialize<'de> for ReadReason {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let known = Reason::ALL.into_iter().find(|known| known.as_str() == text);
        Ok(Self(known.unwrap_or(Reason::Other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(restarts: u64, failures: &[(Reason, ExitCode, u64)]) -> ServiceOutcomes {
        let failures = failures.iter().map(|(reason, code, number)| ((*reason, *code), *number));
        ServiceOutcomes { failures: failures.collect(), restarts, last_success: 7 }
    }

    #[test]
    fn counters_outlive_a_restart() {
        let failed = [
            (Reason::ExitCode, ExitCode::Code(137), 3),
            (Reason::ImageNotFound, ExitCode::None, 1),
            (Reason::Other, ExitCode::Other, 2),
        ];
        let mut before = Counters::default();
        before.seen.insert("web".into(), Arc::new(outcomes(4, &failed)));
        let mut after = Counters::default();
        after.restore(&before.store()).unwrap();
        assert_eq!(after.of("web"), outcomes(4, &failed));
        after.seen.insert("web".into(), Arc::new(outcomes(1, &failed[..1])));
        assert_eq!(after.of("web").restarts, 5);
        assert_eq!(after.of("web").failures[&(Reason::ExitCode, ExitCode::Code(137))], 6);
        assert_eq!(after.of("unknown"), ServiceOutcomes::default());
        after.forget(|id| id != "web");
        assert!(after.take_changed());
        assert_eq!(after.of("web"), ServiceOutcomes::default());
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let mut counters = Counters::default();
        let of_one = |id| format!(r#""{id}":{{"failures":[],"restarts":0,"lastSuccess":0}}"#);
        let services: Vec<_> = (0..=MOST_SERVICES).map(of_one).collect();
        let too_many = format!(r#"{{"version":1,"services":{{{}}}}}"#, services.join(","));
        for (stored, reason) in [
            ("", "EOF"),
            ("{", "EOF"),
            (r#"{"version":2,"services":{}}"#, "it has version 2, this is version 1"),
            (r#"{"version":1,"services":{"a":{}}}"#, "missing field"),
            (&too_many, "it has more than 100000 services"),
        ] {
            let error = counters.restore(stored.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        // Whatever a file says, nothing overflows.
        let most = format!(
            r#"{{"version":1,"services":{{"b":{{"failures":[["unhealthy",1,{0}],["unhealthy",1,{0}]],"restarts":{0},"lastSuccess":0}}}}}}"#,
            u64::MAX
        );
        counters.restore(most.as_bytes()).unwrap();
        counters.restore(most.as_bytes()).unwrap();
        assert_eq!(counters.of("b").restarts, u64::MAX);
        // A later release may know more reasons.
        let stored = r#"{"version":1,"services":{"a":{"failures":[["new",0,2]],"restarts":0,"lastSuccess":0}}}"#;
        counters.restore(stored.as_bytes()).unwrap();
        assert_eq!(counters.of("a").failures[&(Reason::Other, ExitCode::None)], 2);
    }

    #[test]
    fn counters_that_begin_again_are_added_up() {
        let (high, low) = (outcomes(5, &[]), outcomes(1, &[]));
        assert!(has_restarted(&high, &low) && !has_restarted(&low, &high));
        let code = ExitCode::Code(1);
        let failed = outcomes(5, &[(Reason::ExitCode, code, 2)]);
        assert!(has_restarted(&failed, &high) && !has_restarted(&high, &failed));
    }
}
