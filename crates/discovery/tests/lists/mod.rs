//! Reads lists as a look does.

use swarmscout_discovery::engine::{Decoder, ListScanner, Lists, Object, ScanError};

/// All lists, from the text of each.
pub(crate) fn read(text: impl Fn(&str) -> Vec<u8>) -> Lists {
    Lists {
        nodes: objects(&text("nodes")),
        services: objects(&text("services")),
        tasks: objects(&text("tasks")),
        networks: objects(&text("networks")),
        containers: objects(&text("containers")),
    }
}

fn objects<T: Object>(text: &[u8]) -> Vec<T> {
    let mut scanner = ListScanner::default();
    let mut decoder = Decoder::default();
    let mut objects = Vec::new();
    let mut each = |element: swarmscout_discovery::engine::Element<'_>| {
        objects.extend(decoder.decode(element)?);
        Ok::<(), ScanError>(())
    };
    scanner.push(text, &mut each).unwrap();
    scanner.finish().unwrap();
    objects
}
