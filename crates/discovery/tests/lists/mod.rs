//! Reads the recorded lists of a folder, as a look does.

use std::path::Path;

use swarmscout_discovery::engine::{Decoder, ListScanner, Lists, Object, ScanError};

/// All lists that are there.
pub(crate) fn read(fixture: &Path) -> Lists {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/swarm-mode");
    let text = |list: &str| {
        std::fs::read(folder.join(fixture).join(format!("{list}.json"))).unwrap_or(b"[]".to_vec())
    };
    Lists {
        nodes: objects(&text("nodes")),
        services: objects(&text("services")),
        tasks: objects(&text("tasks")),
        networks: objects(&text("networks")),
        containers: objects(&text("containers")),
    }
}

/// The objects of one list.
pub(crate) fn objects<T: Object>(text: &[u8]) -> Vec<T> {
    let mut scanner = ListScanner::default();
    let mut decoder = Decoder::default();
    let mut objects = Vec::new();
    scanner
        .push(text, &mut |element| {
            objects.extend(decoder.decode(element)?);
            Ok::<(), ScanError>(())
        })
        .unwrap();
    scanner.finish().unwrap();
    objects
}
