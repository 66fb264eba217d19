//! One sentence that sums up: what became of the targets of an object, or why there are none.

use swarmscout_model::counted;

use super::limits::{NAME, SENTENCE, cut};
use super::{ExplainedTarget, Fate, JobTargets, Object, Problem};
use crate::doctor::{PUBLISH_A_PORT, ROLE_LABEL, SHARE_A_NETWORK};

/// This number of jobs is named.
const NAMED: usize = 5;

/// `otherwise`: why there are no targets, if no problem says so. `reach`: how the scraper gets to
/// those of a service that it cannot reach.
pub(super) fn of(
    object: &Object,
    problems: &[Problem],
    jobs: &[JobTargets],
    otherwise: &str,
    reach: Option<&str>,
) -> String {
    let it = format!("{} {}", object.kind.as_str(), cut(&object.name, NAME));
    let verdict = Verdict { it: &it, problems, jobs, otherwise, reach };
    let sentence = if jobs.is_empty() {
        verdict.without_targets()
    } else if jobs.iter().any(|job| active(job) > 0) {
        verdict.with_active()
    } else {
        verdict.without_active()
    };
    // The names and reasons in it have a bounded size, but some have several.
    format!("{}.", cut(&sentence, 2 * SENTENCE))
}

#[derive(Clone, Copy)]
struct Verdict<'a> {
    it: &'a str,
    problems: &'a [Problem],
    /// Those that have targets of the object.
    jobs: &'a [JobTargets],
    otherwise: &'a str,
    reach: Option<&'a str>,
}

impl Verdict<'_> {
    fn without_targets(self) -> String {
        let wanted = self.problems.iter().find(|problem| problem.is_wanted);
        let why = wanted.or(self.problems.first());
        let why = why.map_or(self.otherwise, |problem| &problem.text);
        format!("No job has a target of {}: {why}", self.it)
    }

    fn without_active(self) -> String {
        let why = |job: &JobTargets| match reason(job, |fate| fate != Fate::Active) {
            Some(target) => format!(": {}", target.reason),
            None => String::new(),
        };
        let it = self.it;
        match self.jobs {
            [job] if all(job) == 1 => {
                format!("The target of {it} in {} is not scraped{}", place(job), why(job))
            }
            [job] => {
                let (targets, place) = (counted(all(job), "target"), place(job));
                format!("None of the {targets} of {it} in {place} is scraped{}", why(job))
            }
            jobs => {
                let jobs =
                    jobs.iter().map(|job| format!("{} in {}{}", all(job), place(job), why(job)));
                format!("No target of {it} is scraped: {}", named(jobs))
            }
        }
    }

    fn with_active(self) -> String {
        let it = self.it;
        let listed: Vec<_> = self.jobs.iter().filter(|job| active(job) > 0).collect();
        let sentence = match &listed[..] {
            [job] if job.list == "probes" => {
                let probes = counted(active(job), "probe");
                let are = if active(job) == 1 { "is" } else { "are" };
                format!(
                    "{probes} of {it} {are} listed in {} for a blackbox exporter, and nothing of it \
                     is scraped",
                    job.path
                )
            }
            [job] => {
                let are = if active(job) == 1 { "is" } else { "are" };
                let targets = counted(active(job), "target");
                if job.list.is_empty() {
                    format!("{targets} of {it} {are} listed for scraping (job {})", job.job)
                } else {
                    format!(
                        "{targets} of {it} {are} listed for scraping, but only for a Prometheus \
                         that reads {}",
                        job.path
                    )
                }
            }
            jobs => {
                let jobs = jobs.iter().map(|job| match &*job.list {
                    "probes" => format!("{} in {}", counted(active(job), "probe"), job.path),
                    _ => format!("{} in {}", active(job), place(job)),
                });
                format!("Targets of {it} are listed for scraping: {}", named(jobs))
            }
        };
        let but = self.but(&listed);
        let none = self.none(&listed);
        format!("{sentence}{but}{none}")
    }

    /// What is wrong with listed targets.
    fn but(self, listed: &[&JobTargets]) -> String {
        let mut advice = SHARE_A_NETWORK;
        let unreachable = listed.iter().find_map(|job| {
            let first = reason(job, |fate| fate == Fate::Active)?;
            let some = match (listed.len(), active(job) - job.unreachable) {
                (1, 0) => String::new(),
                (1, _) => format!("{} of them ", job.unreachable),
                _ => format!("{} of those in {} ", job.unreachable, place(job)),
            };
            let source = first.discovered.get("__meta_swarmscout_address_source");
            if !first.discovered.contains_key(ROLE_LABEL) {
                advice = PUBLISH_A_PORT;
            } else if source.is_none_or(|source| source != "network_label") {
                advice = self.reach.unwrap_or(SHARE_A_NETWORK);
            }
            Some(format!(", but {some}cannot be reached: {}", first.reason))
        });
        let of_listed = |problem: &&Problem| {
            let job = problem.job.as_deref();
            job.is_none_or(|name| listed.iter().any(|listed| listed.job == name))
        };
        let mut problems = self.problems.iter().filter(of_listed);
        match unreachable {
            // What a source says of it has the fix.
            Some(but) => match problems.find(|problem| problem.job.is_some()) {
                Some(problem) => format!("{but}; {}", problem.text),
                None => format!("{but}; {advice}"),
            },
            None => problems.next().map_or_else(String::new, |one| format!(", but {}", one.text)),
        }
    }

    /// Why another job has no target, if its rules are not the reason.
    fn none(self, listed: &[&JobTargets]) -> String {
        let is_listed = |name: &str| listed.iter().any(|listed| listed.job == name);
        let mut problems = self.problems.iter().filter_map(|problem| {
            let job = problem.job.as_ref().filter(|job| !is_listed(job))?;
            Some((job, &problem.text))
        });
        match problems.next() {
            Some((job, why)) => format!("; job {job} lists none: {why}"),
            None => String::new(),
        }
    }
}

fn active(job: &JobTargets) -> usize {
    job.counts.get(&Fate::Active).copied().unwrap_or_default()
}

fn all(job: &JobTargets) -> usize {
    job.counts.values().sum()
}

/// The first target with such a fate and a reason.
fn reason(job: &JobTargets, is: impl Fn(Fate) -> bool) -> Option<&ExplainedTarget> {
    job.targets.iter().find(|target| is(target.fate) && !target.reason.is_empty())
}

/// `job swarm`, or the path of another list of it.
fn place(job: &JobTargets) -> String {
    match &*job.list {
        "" => format!("job {}", job.job),
        _ => job.path.clone(),
    }
}

fn named(jobs: impl ExactSizeIterator<Item = String>) -> String {
    let more = jobs.len().saturating_sub(NAMED);
    let mut jobs: Vec<_> = jobs.take(NAMED).collect();
    if more > 0 {
        jobs.push(format!("and in {more} more lists"));
    }
    jobs.join(", ")
}
