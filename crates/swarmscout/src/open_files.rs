//! The limit of open files: each connection needs one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For everything but connections from readers: sources, files, the log.
const OTHERS: u64 = 256;

/// Makes the limit as large as the system allows, as Go's programs do. The default (1024) is for
/// programs that use select(2).
pub(crate) fn raise(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` is unlimited.
    let is_raised = current == maximum
        || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if is_raised { maximum } else { current };
    let needed = connections as u64 + OTHERS;
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "The limit of open files is too low for --web.max-connections and --web.max-waiting"
        );
    }
}
