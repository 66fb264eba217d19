//! The steps of the demo, in a cycle.

use super::World;

/// One step.
pub(super) struct Step {
    /// What one would type on a real Swarm, or what happens to it.
    pub(super) what: &'static str,
    /// What discovery makes of it.
    pub(super) effect: &'static str,
    /// Makes it happen.
    pub(super) act: fn(&mut World) -> anyhow::Result<()>,
}

/// All steps; the last returns to the start.
pub(super) const STEPS: &[Step] = &[
    Step {
        what: "docker service create --name shop_pay --replicas 2 … shop/pay:1.0",
        effect: "the new service is found by its label prometheus.port",
        act: |world| {
            world.swarm.deploy("shop_pay", "shop/pay:1.0", 2);
            Ok(())
        },
    },
    Step {
        what: "docker service scale shop_web=5",
        effect: "two more tasks",
        act: |world| {
            world.swarm.scale("shop_web", 5);
            Ok(())
        },
    },
    Step {
        what: "docker service update --image shop/api:1.1 shop_api",
        effect: "new tasks at new addresses replace the old ones",
        act: |world| {
            world.swarm.update("shop_api", "shop/api:1.1");
            Ok(())
        },
    },
    Step {
        what: "docker node update --availability drain worker-2",
        effect: "its tasks move to the other workers; the node itself stays a target",
        act: |world| {
            world.swarm.drain("worker-2");
            Ok(())
        },
    },
    Step {
        what: "manager-1 loses power: Swarmscout was connected to it",
        effect: "Swarmscout asks the next manager of `hosts`; no target is lost",
        act: |world| {
            world.swarm.stop_manager("manager-1");
            Ok(())
        },
    },
    Step {
        what: "the primary master of the classic Swarm dies, its replica leads",
        effect: "Swarmscout asks the other one of `masters`; no target is lost",
        act: |world| {
            world.classic.stop_primary();
            Ok(())
        },
    },
    Step {
        what: "node-4 joins the classic Swarm",
        effect: "its cAdvisor is a new target of the job classic",
        act: |world| {
            world.classic.add_node();
            Ok(())
        },
    },
    Step {
        what: "everything returns to its first state",
        effect: "the demo starts over",
        act: |world| {
            world.swarm.restore_manager("manager-1")?;
            world.swarm.activate("worker-2");
            world.swarm.update("shop_api", "shop/api:1.0");
            world.swarm.scale("shop_web", 3);
            world.swarm.remove("shop_pay");
            world.classic.remove_node();
            world.classic.restore_primary()?;
            Ok(())
        },
    },
];
