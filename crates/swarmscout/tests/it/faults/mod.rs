//! The fault table: everything that can go wrong with a server or a file, times everything that is
//! asked, at the first refresh and at a later one.
//!
//! Each cell is a job of its own with a server of its own. What is recorded of it comes from what
//! users read: the log, `/metrics`, `/api/v1/sources` and `/sd`. In every cell holds:
//!
//! - a refresh ends at its deadline, and stays within its size limit;
//! - a failed refresh takes no target away; before the first good one nothing is served;
//! - log, metrics and API report the same reason;
//! - once the fault has ended, the next refresh brings everything back.
//!
//! `docs/robustness.md` has the table, `tests/faults/seen.txt` every text. `UPDATE_EXPECT=1 cargo
//! test -p swarmscout --test it faults` rewrites both.

mod cell;
mod edits;
mod lists;
mod origin;
mod rows;
mod site;
mod sources;
mod table;

use std::sync::Arc;
use std::time::Duration;

use expect_test::expect_file;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use rows::Row;
use site::Log;
use sources::Source;
use table::Cells;

/// How many parts of the table are tried at the same time.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_every_source() {
    let log = Log::capture();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut parts = JoinSet::new();
    // Faults that end by their deadline alone get a short one, in which a busy machine still gives the
    // other answers. They come last, when this test no longer loads the machine. All other refreshes
    // have more time than this test.
    for (is_silent, patience) in [(false, cell::GUARD), (true, Duration::from_secs(3))] {
        for &source in Source::ALL {
            let numbers = 0..Row::ALL.len();
            let numbers: Vec<_> =
                numbers.filter(|number| Row::ALL[*number].is_silent(source) == is_silent).collect();
            let (log, turns) = (log.clone(), Arc::clone(&turns));
            parts.spawn(async move {
                let _turn = turns.acquire().await.unwrap();
                (source, cell::rows(source, &numbers, patience, &log).await)
            });
        }
    }
    let mut seen = Cells::new();
    while let Some(part) = parts.join_next().await {
        let (source, rows) = part.unwrap();
        seen.extend(rows.into_iter().map(|(row, cell)| ((row, source as usize), cell)));
    }

    expect_file!["../../faults/seen.txt"].assert_eq(&table::texts(&seen));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/robustness.md");
    let text = std::fs::read_to_string(path).unwrap();
    let begin = text.find("<!-- fault table").unwrap();
    let begin = begin + text[begin..].find("-->").unwrap() + "-->\n".len();
    let end = text.find("<!-- end of fault table").unwrap();
    let expected = format!("{}\n{}\n{}", &text[..begin], table::markdown(&seen), &text[end..]);
    expect_file![path].assert_eq(&expected);
}
