//! Files of the storage, which anybody may have put there.

use swarmscout_discovery::fuzzing::storage;

use crate::checks;

/// The bytes as a file; and, behind two bytes that say how many groups and targets there are, as the
/// body of one whose checksum is good.
pub fn file(bytes: &[u8]) {
    read(bytes);
    if let [groups, targets, body @ ..] = bytes {
        read(&storage::seal((*groups).into(), (*targets).into(), body));
    }
}

/// What is read has good labels, and is the same again when it was written.
fn read(file: &[u8]) {
    let Ok(stored) = storage::read(file) else { return };
    checks::listed(&stored.groups);
    assert_eq!(storage::read(&storage::write(&stored)), Ok(stored));
}
