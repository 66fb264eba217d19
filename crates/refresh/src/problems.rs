//! What is skipped of an answer, in bounded space: its sender decides how much
//! that is, and how long the names of things are.

use std::collections::BTreeSet;

use swarmscout_net::Secrets;

/// Something in an answer that is not as it should be. [`Problem::is_skipped`] says whether a part
/// of the answer was skipped because of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// What kind of object it is: `node`, `service`, `task`, `network`, `container`, `file`,
    /// `host`, `name`, `group`.
    /// One of a small closed set: it becomes the metric label `kind`.
    pub kind: &'static str,
    /// Which object: an ID or name as it was sent. Empty: all of them.
    pub object: String,
    /// Why, in a few constant words: `virtual IP without address`. It becomes the metric label
    /// `reason`.
    pub reason: &'static str,
    /// Anything beyond that, for log and API.
    pub detail: String,
}

/// Label keys of an object that become one name: one of the values is used.
pub const COLLISION: &str = "label keys that become one name";

/// A classic master reports another number of nodes than it lists: the listed nodes are used.
pub const OTHER_COUNT: &str = "node count mismatch";

/// A host did not answer: the next one was tried.
pub const NEXT_HOST: &str = "next host tried";

/// A server that lets readers wait for a change did not: it is polled.
pub const NOT_FOLLOWED: &str = "polled instead of followed";

/// A text was not UTF-8: it is used, with U+FFFD in place of what was not.
pub const REPLACED: &str = "invalid UTF-8 replaced";

/// No service says in its labels how it is scraped: the detail has what to write.
pub const NO_LABELS: &str = "no labelled service";

/// The reasons for which nothing is missing. All others say that something was skipped.
const ONLY_REPORTED: [&str; 6] =
    [COLLISION, OTHER_COUNT, NEXT_HOST, NOT_FOLLOWED, REPLACED, NO_LABELS];

impl Problem {
    /// Whether something is missing because of it. If not, everything is there, and it is only
    /// reported.
    pub fn is_skipped(&self) -> bool {
        !ONLY_REPORTED.contains(&self.reason)
    }
}

/// The most that are reported of one answer.
pub const MOST: usize = 10_000;

/// The most of an object's name that is reported, in bytes. IDs have 64 at most.
const SHOWN: usize = 256;

/// The most of a detail that is reported, in bytes: secrets are found in it although it is cut.
const SHOWN_OF_DETAIL: usize = swarmscout_net::SHOWN;

/// This number of new problems is logged one by one.
const LOGGED: usize = 10;

/// Logs the problems that are not among those `before`, with the mechanism, the job and the display
/// name of their source.
pub fn log_new(mechanism: &str, job: &str, what: &str, before: &[Problem], now: &[Problem]) {
    let before: BTreeSet<_> = before.iter().collect();
    let mut new = now.iter().filter(|problem| !before.contains(problem));
    for problem in new.by_ref().take(LOGGED) {
        let Problem { kind, object, reason, detail } = problem;
        let message = if problem.is_skipped() { "Object skipped" } else { "Problem reported" };
        tracing::warn!(
            discovery = mechanism,
            config = job,
            asked = what,
            kind,
            object,
            reason,
            detail,
            "{message}"
        );
    }
    let others = new.count();
    if others > 0 {
        tracing::warn!(
            discovery = mechanism,
            config = job,
            asked = what,
            problems = others,
            "Further problems"
        );
    }
}

/// The problems of one answer, in the order in which they are met.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems {
    reported: Vec<Problem>,
    /// How many are not reported.
    more: usize,
}

/// A moment in the life of [`Problems`]: by default the one before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    reported: usize,
    more: usize,
}

impl Problems {
    /// Adds one. What is too long of it is cut.
    pub fn push(&mut self, kind: &'static str, object: &str, reason: &'static str, detail: String) {
        if self.reported.len() < MOST {
            let (object, detail) = (shown(object).to_owned(), cut(detail));
            self.reported.push(Problem { kind, object, reason, detail });
        } else {
            self.more += 1;
        }
    }

    /// Adds those of a part of the answer.
    pub fn extend(&mut self, problems: &[Problem]) {
        let (reported, rest) = problems.split_at(problems.len().min(MOST - self.reported.len()));
        self.reported.extend_from_slice(reported);
        self.more += rest.len();
    }

    /// Now.
    pub fn mark(&self) -> Mark {
        Mark { reported: self.reported.len(), more: self.more }
    }

    /// Forgets those that were added since.
    pub fn forget_since(&mut self, mark: Mark) {
        self.reported.truncate(mark.reported);
        self.more = mark.more;
    }

    /// Says which object those are about that were added since.
    pub fn name_since(&mut self, mark: Mark, object: &str) {
        for problem in &mut self.reported[mark.reported..] {
            shown(object).clone_into(&mut problem.object);
        }
    }

    /// All of them; how many are missing is the last one. None is left.
    pub fn take(&mut self) -> Vec<Problem> {
        let Self { mut reported, more } = std::mem::take(self);
        reported.extend(not_listed(reported.last(), more));
        reported
    }
}

/// Hides secrets in what problems say, and cuts it.
pub fn clean(problems: &mut [Problem], secrets: &Secrets) {
    for Problem { object, detail, .. } in problems {
        secrets.clean_in_place(object);
        secrets.clean_in_place(detail);
    }
}

/// Says how many are missing after the last one that is reported.
pub fn not_listed(last: Option<&Problem>, more: usize) -> Option<Problem> {
    let kind = last.filter(|_| more > 0)?.kind;
    let detail = format!("{more} more are not listed");
    Some(Problem { kind, object: String::new(), reason: "too many problems to list", detail })
}

/// The beginning of a detail.
pub fn cut(mut detail: String) -> String {
    if detail.len() > SHOWN_OF_DETAIL {
        detail.truncate(detail.floor_char_boundary(SHOWN_OF_DETAIL));
        detail.push('…');
    }
    detail
}

/// The beginning of a name.
pub fn shown(name: &str) -> &str {
    &name[..name.floor_char_boundary(SHOWN)]
}
