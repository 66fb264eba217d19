//! A discoverer of one's own in Swarmscout's pipe: the addresses that a host name has now, as
//! `tasks.<service>` has one for each task of a service in Docker's DNS.
//!
//! ```text
//! cargo run -p swarmscout-discovery --example own_discoverer -- tasks.web:9100
//! ```
//!
//! Prints the targets whenever they change, until it is interrupted. The discoverer only refreshes:
//! when to refresh, for how long, what to do after a failure, what to keep, relabeling and
//! duplicates are the library's business.

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use swarmscout_discovery::config::{BuildContext, CustomConfig};
use swarmscout_discovery::{
    BoxFuture, Discoverer, Error, Groups, JobConfig, Manager, Refreshed, SdConfig,
};
use swarmscout_model::{Labels, PromDuration, TargetGroup};
use swarmscout_refresh::RefreshScope;
use tokio::net::lookup_host;

/// The addresses of one host name.
struct HostName {
    /// `name:port`.
    name: Arc<str>,
}

impl Discoverer for HostName {
    type Error = Error;

    fn fetch(&mut self, _: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(async {
            let asked = Instant::now();
            let addresses = lookup_host(&*self.name)
                .await
                .map_err(|error| Error::Other(format!("cannot resolve {}: {error}", self.name)))?;
            // Sorted, for a resolver answers in another order each time, and a set in another order
            // would be another set.
            let addresses: BTreeSet<String> = addresses.map(|a| a.to_string()).collect();
            let target = |address: &String| Labels::from_iter([("__address__", address)]);
            let group = TargetGroup {
                source: self.name.clone(),
                targets: addresses.iter().map(target).collect(),
                labels: Labels::from_iter([("__meta_host_name", &*self.name)]),
            };
            Ok(Refreshed::new(vec![Arc::new(group)], asked))
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let name: Arc<str> = std::env::args().nth(1).unwrap_or("localhost:9100".to_owned()).into();
    let source = SdConfig::Custom(CustomConfig {
        mechanism: "host_name",
        display_name: name.clone(),
        refresh_interval: Some(PromDuration::from_secs(5)),
        build: Arc::new(move |_context| Ok(Box::new(HostName { name: name.clone() }))),
    });

    let mut manager = Manager::new(BuildContext::new("own_discoverer"));
    manager.apply(vec![JobConfig::new("example", vec![source])]);

    let mut job = manager.jobs().borrow()[0].clone();
    while job.set.changed().await.is_ok() {
        for source in &job.status.borrow().sources {
            println!("{}: {}", source.display_name, source.error.as_deref().unwrap_or("ok"));
        }
        let set = job.set.borrow_and_update();
        for (_group, target) in set.active() {
            println!("  {:?}", target.labels);
        }
    }
}
