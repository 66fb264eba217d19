//! What a simulated Swarm of any size costs: to make it, and to kill one task.
//!
//! ```text
//! cargo run --release -p swarmscout-simulator --example changes_speed -- [NODES [TASKS]]
//! ```
//!
//! Killed are 10,000 tasks, one after the other, first while there is no listener, then with two
//! listeners that read their events after every kill.

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::time::{Duration, Instant};

use swarmscout_simulator::swarm::{Swarm, Task};

const KILLS: usize = 10_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.into()).parse();
    let (nodes, tasks): (usize, usize) = (argument("10000")?, argument("100000")?);
    let start = Instant::now();
    let swarm = Swarm::grown(1, nodes, tasks);
    println!("{nodes} nodes and {tasks} tasks: {:.2?}", start.elapsed());
    for listeners in [0, 2] {
        let mut listening: Vec<_> = (0..listeners).map(|_| swarm.changes()).collect();
        let victims: Vec<_> =
            swarm.tasks().into_iter().filter(Task::is_live).map(|task| task.meta.id).collect();
        let (mut killed, mut reported, mut longest) = (0, 0, Duration::ZERO);
        let start = Instant::now();
        for victim in victims.iter().step_by((victims.len() / KILLS).max(1)) {
            let one = Instant::now();
            killed += usize::from(swarm.kill_task(victim));
            for changes in &mut listening {
                while changes.try_next().is_some() {
                    reported += 1;
                }
            }
            longest = longest.max(one.elapsed());
        }
        let each = start.elapsed() / u32::try_from(killed.max(1))?;
        println!(
            "{killed} tasks killed, {listeners} listeners, {reported} changes reported: {each:.2?} each, \
             {longest:.2?} at most"
        );
    }
    Ok(())
}
