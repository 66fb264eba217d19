//! Small values that stand in files and flags.

use swarmscout_discovery::fuzzing;
use swarmscout_model::PromDuration;
use swarmscout_model::size::Bytes;

/// A duration and a size, which are the same again when they were written and read; and, on two
/// lines, the pattern of a file's name and a name.
pub fn values(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if let Ok(duration) = text.parse::<PromDuration>() {
        assert_eq!(duration.to_string().parse(), Ok(duration), "{text:?}");
    }
    if let Ok(size) = text.parse::<Bytes>() {
        assert_eq!(size.to_string().parse(), Ok(size), "{text:?}");
    }
    if let Some((pattern, name)) = text.split_once('\n') {
        let matches = fuzzing::matches_pattern(pattern, name);
        if !pattern.contains(['\\', '[']) {
            // Two wildcards match what one does.
            let doubled = pattern.replace('*', "**");
            assert_eq!(fuzzing::matches_pattern(&doubled, name), matches, "{text:?}");
        }
    }
}
