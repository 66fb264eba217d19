//! Complete listings by SwarmKit, which tests compare with those of the Engine API. The program lists by
//! the Engine API alone.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join3;
use swarmscout_refresh::Problem;
use tokio::time::Instant;

use super::connection::Elements;
use super::convert::{Converter, Listed};
use super::refusal::within;
use super::{Connection, Method};
use crate::Error;
use crate::engine::{MAX_OBJECTS, Network, Node, Service, Task};

/// This many objects are converted before others may go on with their work.
const AT_ONCE: usize = 256;

/// All that a Swarm has, as the Engine API would list it. Networks are those of the Swarm alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// All nodes.
    pub nodes: Vec<Arc<Node>>,
    /// All services of containers.
    pub services: Vec<Arc<Service>>,
    /// All tasks that are containers.
    pub tasks: Vec<Arc<Task>>,
    /// All networks of the Swarm.
    pub networks: Vec<Arc<Network>>,
    /// What was left out.
    pub problems: Vec<Problem>,
}

impl Connection {
    /// Lists everything, as the leader of the Swarm has it.
    ///
    /// Tasks first, and then what they refer to: so the service of a task that was just made is
    /// never missing.
    #[doc(hidden)]
    pub async fn list(&mut self, deadline: Instant) -> Result<Listing, Error> {
        within(&self.place, deadline, async {
            let mut converter = Converter::default();
            let tasks = self.call(Method::ListTasks, Vec::new()).await?;
            let tasks = self.objects(Method::ListTasks, tasks, &mut converter).await?;
            let (nodes, services, networks) = try_join3(
                self.call(Method::ListNodes, Vec::new()),
                self.call(Method::ListServices, Vec::new()),
                self.call(Method::ListNetworks, Vec::new()),
            )
            .await?;
            Ok(Listing {
                tasks,
                nodes: self.objects(Method::ListNodes, nodes, &mut converter).await?,
                services: self.objects(Method::ListServices, services, &mut converter).await?,
                networks: self.objects(Method::ListNetworks, networks, &mut converter).await?,
                problems: converter.take_problems(),
            })
        })
        .await
    }

    async fn call(&self, method: Method, request: Vec<u8>) -> Result<Bytes, Error> {
        self.send(method, request).await.map_err(|status| self.failed(method, &status))
    }

    /// The objects of a list, which is the first member of every answer.
    async fn objects<T: Listed>(
        &self,
        method: Method,
        answer: Bytes,
        converter: &mut Converter,
    ) -> Result<Vec<Arc<T>>, Error> {
        let mut objects = Vec::new();
        for (i, element) in Elements(answer).enumerate() {
            if i % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            if i == MAX_OBJECTS {
                return Err(self.place.answer(format!("more than {MAX_OBJECTS} objects")));
            }
            let object = element.and_then(|element| converter.read(element));
            let object = object.map_err(|error| self.unreadable(method, &error))?;
            objects.extend(object.map(Arc::new));
        }
        objects.shrink_to_fit();
        Ok(objects)
    }
}
