//! What is missing on this node, and why.
//!
//! A missing controller or file is not an error: the other series are whole. It is reported once in
//! the log, and by a series as long as it lasts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swarmscout_exposition::families::Families;
use swarmscout_exposition::pieces::{Kind, SeriesLabels};

/// What is missing, by a name such as `memory` or `pressure`. Shared by all readers of a node.
#[derive(Debug, Default)]
pub struct Unavailable(Mutex<BTreeMap<Cow<'static, str>, Missing>>);

#[derive(Debug)]
struct Missing {
    reason: String,
    is_now: bool,
}

impl Unavailable {
    /// Notes that `what` is missing, and what to do about it. Logged the first time in the life of
    /// the process, and when the reason is a new one.
    pub fn set(&self, what: impl Into<Cow<'static, str>>, reason: impl Display) {
        let (what, reason) = (what.into(), reason.to_string());
        let mut all = self.lock();
        if let Some(known) = all.get_mut(&what) {
            known.is_now = true;
            if known.reason == reason {
                return;
            }
        }
        tracing::warn!(what = &*what, reason, "Metrics are unavailable");
        all.insert(what, Missing { reason, is_now: true });
    }

    /// Notes that `what` is there.
    pub fn clear(&self, what: &str) {
        if let Some(known) = self.lock().get_mut(what) {
            known.is_now = false;
        }
    }

    /// Notes whether `what` is missing: [`set`](Self::set) with a reason, else
    /// [`clear`](Self::clear).
    pub fn note(&self, what: &'static str, reason: Option<impl Display>) {
        match reason {
            Some(reason) => self.set(what, reason),
            None => self.clear(what),
        }
    }

    /// Whether `what` is missing now.
    pub(crate) fn has(&self, what: &str) -> bool {
        self.lock().get(what).is_some_and(|missing| missing.is_now)
    }

    /// All that is missing now, with reasons.
    pub fn list(&self) -> Vec<(String, String)> {
        let all = self.lock();
        let now = all.iter().filter(|(_, missing)| missing.is_now);
        now.map(|(what, missing)| (what.to_string(), missing.reason.clone())).collect()
    }

    /// Writes `swarmscout_node_unavailable`.
    pub fn write(&self, out: &mut Families) {
        let help = "Metrics that this node does not have; the log has the reason";
        let mut family = out.family("swarmscout_node_unavailable", Kind::Gauge, help);
        for (what, missing) in &*self.lock() {
            if missing.is_now {
                family.series_with(&SeriesLabels::default(), &[("what", what)], 1_u64);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Cow<'static, str>, Missing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use swarmscout_exposition::Format;

    use super::*;

    #[test]
    fn what_is_missing_now_is_listed() {
        let unavailable = Unavailable::default();
        unavailable.set("pressure", "the kernel has no PSI; boot it with psi=1");
        unavailable.note("memory", Some("no controller"));
        unavailable.note("memory", None::<&str>);
        unavailable.clear("never set");
        let mut out = Families::new(Format::Text);
        unavailable.write(&mut out);
        assert!(
            out.finish().ends_with("gauge\nswarmscout_node_unavailable{what=\"pressure\"} 1\n")
        );
        unavailable.set("pressure", "another reason");
        assert_eq!(unavailable.list(), [("pressure".to_owned(), "another reason".to_owned())]);
    }
}
