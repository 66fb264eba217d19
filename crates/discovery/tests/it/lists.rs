//! Reads lists as a refresh does.

use std::sync::Arc;

use swarmscout_discovery::Problem;
use swarmscout_docker::engine::{Decoder, Element, ListScanner, Lists, Object, ScanError};

/// All lists, from the text of each, and what was left out.
pub(crate) fn read(text: impl Fn(&str) -> Vec<u8>) -> (Lists, Vec<Problem>) {
    let mut problems = Vec::new();
    let lists = Lists {
        nodes: objects(&text("nodes"), &mut problems),
        services: objects(&text("services"), &mut problems),
        tasks: objects(&text("tasks"), &mut problems),
        networks: objects(&text("networks"), &mut problems),
        containers: objects(&text("containers"), &mut problems),
        ..Lists::default()
    };
    (lists, problems)
}

fn objects<T: Object>(text: &[u8], problems: &mut Vec<Problem>) -> Vec<Arc<T>> {
    let mut scanner = ListScanner::default();
    let mut decoder = Decoder::default();
    let mut objects = Vec::new();
    let mut each = |element: Element<'_>| {
        objects.extend(decoder.decode(element)?.map(Arc::new));
        Ok::<(), ScanError>(())
    };
    scanner.push(text, &mut each).unwrap();
    scanner.finish().unwrap();
    problems.extend(decoder.take_problems());
    objects
}
