//! A source of targets that shares its Swarm with no other source.

use swarmscout_swarm::{Filters, ListScope, Reader, Snapshot, Source, SwarmFollower};
use tokio::sync::watch;

use super::{Finder, Options};
use crate::config::{BuildContext, DockerSwarmConfig};
use crate::source::replica::SnapshotFinder;
use crate::{BoxFuture, Discoverer, Error, Groups, RefreshScope, Refreshed};

/// One of `dockerswarm_sd_configs` that reads its Swarm alone. The [manager](crate::Manager) does
/// not use it: there, all sources that read one Swarm share it.
#[derive(Debug)]
pub struct DockerSwarm {
    follower: SwarmFollower,
    finder: Box<dyn SnapshotFinder>,
    /// Keeps what is asked for.
    _demand: watch::Sender<ListScope>,
}

impl DockerSwarm {
    /// Fails if a host or its TLS options cannot be used.
    pub fn new(config: &DockerSwarmConfig, context: &BuildContext) -> Result<Self, Error> {
        let filters = Filters::new(config.role, &config.engine.filters);
        let reader = Reader::of_role(filters.clone());
        let finder =
            Finder::new(Options::from(config), filters).within(context.refresh.budget.clone());
        Self::of(&config.swarm(), &config.engine.describe(), &reader, Box::new(finder), context)
    }

    /// One that finds other targets in a Swarm of this display name.
    pub(in crate::source) fn of(
        source: &Source,
        swarm: &str,
        reader: &Reader,
        finder: Box<dyn SnapshotFinder>,
        context: &BuildContext,
    ) -> Result<Self, Error> {
        let (demand, demanded) = watch::channel(ListScope::of([reader]));
        let BuildContext { following, refresh, .. } = context;
        let follower = SwarmFollower::new(source, swarm.into(), demanded, *following, refresh)?;
        Ok(Self { follower, finder, _demand: demand })
    }

    fn find(
        finder: &mut dyn SnapshotFinder,
        listed: Refreshed<Snapshot>,
    ) -> Result<Refreshed<Groups>, Error> {
        // A missing list has no targets to find.
        if let Some(failed) = listed.value.failed_of(finder.needs()).find(|list| !list.is_watched) {
            return Err(Error::Other(failed.error.to_string()));
        }
        let (groups, mut problems) = finder.find(&listed.value, None)?;
        problems.extend(listed.problems);
        Ok(Refreshed { value: groups, as_of: listed.as_of, problems })
    }
}

impl Discoverer for DockerSwarm {
    type Error = Error;

    fn fetch(&mut self, scope: RefreshScope) -> BoxFuture<'_, Result<Refreshed<Groups>, Error>> {
        Box::pin(async move {
            let listed = self.follower.fetch(scope).await?;
            let failed = listed.value.failed_of(self.finder.needs()).next();
            if let Some(failed) = failed.filter(|_| scope == RefreshScope::Full) {
                return Err(Error::Other(failed.error.to_string()));
            }
            Self::find(&mut *self.finder, listed)
        })
    }

    fn changed(&mut self) -> BoxFuture<'_, RefreshScope> {
        self.follower.changed()
    }
}
