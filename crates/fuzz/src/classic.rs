//! A classic master's `/info`.

use swarmscout_discovery::fuzzing::Master;

use crate::checks;

/// The answer is read twice, as a source does that refreshes again: what is remembered of the first
/// time changes nothing.
pub fn info(json: &[u8]) {
    let mut master = Master::new("8080");
    let first = master.read(json);
    assert_eq!(first, master.read(json), "another when read again");
    if let Ok((groups, problems)) = first {
        checks::groups(&groups);
        checks::problems(&problems, json.len());
    }
}
