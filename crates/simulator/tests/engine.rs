//! The simulated Engine API against what real engines answered.

mod common;

use common::{get, request};
use swarmscout_simulator::engine::{Condition, Engine, Recording, Release};
use swarmscout_simulator::swarm::{ServiceSpec, Swarm};
use swarmscout_simulator::{Fault, Listen};

/// A manager and two workers with a service of three tasks.
fn small() -> (Swarm, String, String) {
    let swarm = Swarm::new(7);
    let manager = swarm.add_manager("manager-1");
    let worker = swarm.add_worker("worker-1");
    swarm.add_worker("worker-2");
    let front = swarm.create_network("front");
    swarm.create_service(
        ServiceSpec::new("web", "demo:1").replicas(3).network(&front).publish(8080, 80),
    );
    (swarm, manager, worker)
}

#[tokio::test]
async fn smoke() {
    let (swarm, manager, _) = small();
    let engine = Engine::start(Listen::Tcp, &swarm, &manager).unwrap();
    for path in [
        "/_ping",
        "/nodes",
        "/v1.41/services",
        "/tasks",
        "/networks",
        "/info",
        "/version",
        "/containers/json",
    ] {
        println!("{}", get(&engine.server, path).await);
    }
    engine.server.faults().set(Fault::Truncate);
    println!("{}", get(&engine.server, "/nodes").await);
    println!("{}", request(&engine.server, "HEAD", "/_ping").await);
    let _ = (Condition::Member, Recording::EMPTY, Release::V28);
}
