//! Tasks that a replica does not hold, on demand: those that failed and were replaced.

use std::sync::Arc;
use std::time::Duration;

use swarmscout_docker::EngineConfig;
use swarmscout_docker::Filter;
use swarmscout_docker::engine::{Hosts, List, Query, Task};
use swarmscout_model::PromDuration;
use swarmscout_refresh::RefreshContext;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Error;

/// A person waits for the answer.
const WITHIN: Duration = Duration::from_secs(10);

/// The most bytes of an answer. A task has some 3 kB, and an Engine keeps five of each slot.
const LARGEST: u64 = 64 << 20;

/// Asks the managers of a Swarm for some of its tasks, with the options of its source. Runs one
/// request at a time for all callers.
#[derive(Clone, Debug)]
pub struct TaskQuery {
    engine: Arc<EngineConfig>,
    context: RefreshContext,
    turn: Arc<Mutex<()>>,
}

impl TaskQuery {
    /// Asks these managers.
    pub fn new(engine: &EngineConfig, context: &RefreshContext) -> Self {
        let refresh_interval = engine.refresh_interval.min(PromDuration::from_secs(10));
        let max_answer = context.max_answer.min(LARGEST);
        Self {
            engine: Arc::new(EngineConfig { refresh_interval, ..engine.clone() }),
            context: RefreshContext { max_answer, ..context.clone() },
            turn: Arc::default(),
        }
    }

    /// The tasks of a service, also those that ended.
    ///
    /// # Errors
    ///
    /// If no manager answers in time, or the answer is too large.
    pub async fn of_service(&self, id: &str) -> Result<Vec<Arc<Task>>, Error> {
        self.ask("service", id).await
    }

    /// The tasks whose IDs begin with `id`, also those that ended.
    ///
    /// # Errors
    ///
    /// If no manager answers in time, or the answer is too large.
    pub async fn with_id(&self, id: &str) -> Result<Vec<Arc<Task>>, Error> {
        self.ask("id", id).await
    }

    async fn ask(&self, filter: &str, value: &str) -> Result<Vec<Arc<Task>>, Error> {
        let filter = Filter { name: filter.to_owned(), values: vec![value.to_owned()] };
        let query = Query::new(List::Tasks, &[], &[filter]);
        let asked = async {
            let _turn = self.turn.lock().await;
            // New ones keep no object of an answer.
            let mut hosts = Hosts::new(&self.engine, &self.context)?;
            Ok(hosts.list(&query).await?.value.lists.tasks)
        };
        timeout(WITHIN, asked).await.unwrap_or(Err(Error::Late(WITHIN)))
    }
}
