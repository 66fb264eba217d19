//! The way in for the fuzz target of `crates/fuzz`. No part of this crate's interface.

use futures_util::FutureExt as _;
use swarmscout_net::UserInfo;
use tokio::io::{join, sink};

use super::list;
use super::session::Session;
use crate::source::nodelist::fuzzing::Listed;
use crate::source::nodelist::{Servers, StoreKind};

/// Reads a whole list, without a runtime, from a server that sends these bytes.
pub fn zookeeper(says: &[u8], path: &str, with_user: bool) -> Result<Listed, String> {
    let user = with_user.then(|| UserInfo { username: "u".to_owned(), password: None });
    let servers =
        Servers { kind: StoreKind::ZooKeeper, addresses: Vec::new(), user, path: path.to_owned() };
    let listing = async {
        let user = servers.user.as_ref();
        let mut session = Session::open(join(says, sink()), "server", user, 0).await?;
        list(&servers, &mut session).await
    };
    let listing = listing
        .now_or_never()
        .unwrap_or_else(|| unreachable!("bytes are there at once, or they end"));
    let listing = listing.map_err(|error| error.to_string())?.unwrap_or_default();
    Ok(Listed { nodes: listing.nodes, primary: listing.primary })
}
