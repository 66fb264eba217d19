//! `/sd` and `/sd/swarm`, as `docs/http.md` has them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use swarmscout_model::labels::{ADDRESS, META_PREFIX};
use swarmscout_model::target::{DefaultLabels, MetaLabels, raw, served};
use swarmscout_model::{LabelsBuilder, TargetSet};
use swarmscout_publish::list::{EMPTY, Form, JobLists, ListQuery, withheld};
use swarmscout_publish::{json, links};
use swarmscout_server::{Peer, is_host, text};
use tokio::time::timeout;

use super::OwnList;
use super::containers::Reader;
use crate::detect::SUCCESSOR;
use crate::node::site::{App, Tasks, TasksSource};

/// Whole seconds since the Engine confirmed the list.
const AGE: HeaderName = HeaderName::from_static("x-swarmscout-oldest-source-age-seconds");

/// How long a reader waits for a place among those that are answered.
const WITHIN: Duration = Duration::from_secs(9);

/// The size of a piece of a list, in bytes: what is written at one time for one reader.
const PIECE: usize = 64 << 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// `/sd`: the one job, and where its targets are.
pub(in crate::node) async fn index(
    State(app): State<Arc<App>>,
    peer: Extension<Peer>,
    scheme: Option<Extension<Scheme>>,
    headers: HeaderMap,
) -> Response {
    match Asked::of(&app, &peer, scheme.as_deref(), &headers) {
        Err((status, why)) => text(status, why),
        Ok(Asked { list, reader }) => {
            let base = format!("{}://{}", reader.scheme, reader.authority());
            let lists = serde_json::to_vec(&[JobLists::of(&list.set(), &base)]);
            let lists = lists.expect("what is answered has string keys only");
            ([(header::CONTENT_TYPE, JSON)], lists).into_response()
        }
    }
}

/// `/sd/swarm`.
pub(in crate::node) async fn job(
    State(app): State<Arc<App>>,
    peer: Extension<Peer>,
    scheme: Option<Extension<Scheme>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Asked { list, reader } = match Asked::of(&app, &peer, scheme.as_deref(), &headers) {
        Ok(asked) => asked,
        Err((status, why)) => return text(status, why),
    };
    if uri.path() != links::sd(SUCCESSOR) {
        return text(StatusCode::NOT_FOUND, "there is no such job; /sd lists the jobs\n");
    }
    let query = match ListQuery::parse(uri.query().unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    // Before a place: it is known at once.
    if let Some(why) = withheld(&list.set(), query.form) {
        return text(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    let Ok(place) = timeout(WITHIN, list.places.free()).await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many lists are read at one time\n");
    };
    let age = list.state().map_or(0, |(_, age)| age.as_secs());
    let pieces =
        list.places.hold(Listing::new(list.set(), query, reader, Arc::clone(&list.ports)), place);
    let no_cache = HeaderValue::from_static("no-cache");
    let headers =
        [(header::CONTENT_TYPE, JSON), (header::CACHE_CONTROL, no_cache), (AGE, age.into())];
    (headers, Body::from_stream(stream::iter(pieces))).into_response()
}

/// A request for the list.
struct Asked<'a> {
    list: &'a OwnList,
    reader: Reader,
}

impl<'a> Asked<'a> {
    fn of(
        app: &'a App,
        peer: &Peer,
        scheme: Option<&Scheme>,
        headers: &HeaderMap,
    ) -> Result<Self, (StatusCode, &'static str)> {
        let Some(Tasks { source: TasksSource::Engine(list), .. }) = &app.tasks else {
            let why = if app.tasks.is_some() {
                "this node has a manager (--manager), which has the lists\n"
            } else {
                "a list of containers needs Docker's socket (--docker.host)\n"
            };
            return Err((StatusCode::NOT_FOUND, why));
        };
        let scheme = scheme.map_or("http", Scheme::as_str);
        let scheme = if scheme == "https" { "https" } else { "http" };
        // Clients of a unix socket write any name, and reach no port by it.
        let is_local = peer.address.is_none();
        let place = if is_local {
            list.ports.first().map(|port| ("localhost".to_owned(), *port))
        } else {
            place(headers.get(header::HOST), scheme)
        };
        let Some((host, port)) = place else {
            let why = "targets have the address by which they are asked for: send it as Host\n";
            return Err((StatusCode::BAD_REQUEST, why));
        };
        let by_reach = list.has_way && !is_local && app.admits(peer);
        Ok(Self { list, reader: Reader { scheme, host, port, by_reach } })
    }
}

/// Host and port of a header `Host`. `None` if it is not valid.
fn place(host: Option<&HeaderValue>, scheme: &str) -> Option<(String, u16)> {
    let host = Authority::try_from(host?.as_bytes()).ok()?;
    let default = if scheme == "https" { 443 } else { 80 };
    let (name, port) = (host.host(), host.port_u16());
    // The port is the whole rest.
    let is_whole = match host.as_str().strip_prefix(name)? {
        "" => true,
        rest => rest.strip_prefix(':')?.parse::<u16>().is_ok(),
    };
    (is_whole && is_host(name)).then(|| (name.to_owned(), port.unwrap_or(default)))
}

/// The list for a reader, in pieces: each is written when the reader takes it, so that many who read
/// slowly hold little.
#[derive(Debug)]
pub(super) struct Listing {
    set: Arc<TargetSet>,
    query: ListQuery,
    reader: Reader,
    own_ports: Arc<[u16]>,
    /// How many targets are written.
    written: usize,
    has_ended: bool,
}

impl Listing {
    pub(super) fn new(
        set: Arc<TargetSet>,
        query: ListQuery,
        reader: Reader,
        own_ports: Arc<[u16]>,
    ) -> Self {
        Self { set, query, reader, own_ports, written: 0, has_ended: false }
    }
}

impl Iterator for Listing {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.has_ended {
            return None;
        }
        let Self { set, query, reader, own_ports, written, has_ended } = self;
        let (mut labels, mut out) = (LabelsBuilder::new(), Vec::new());
        let defaults = DefaultLabels::new(&set.pool.defaults);
        let groups = set.groups.iter().filter(|group| query.list.holds(&group.relabelled.group));
        let targets =
            groups.flat_map(|group| group.active().map(move |target| (group, target.index)));
        for (group, index) in targets.skip(*written) {
            let (group, index) = (&group.relabelled.group, index as usize);
            let address = if query.form == Form::Raw {
                raw(group, index, &defaults, &mut labels);
                let address = labels.get(ADDRESS).unwrap_or_default().to_owned();
                labels.remove(ADDRESS);
                address
            } else {
                let pool = &set.pool;
                served(group, index, &defaults, &pool.relabel, MetaLabels::Show, &mut labels)
                    .expect("an active target has an address")
            };
            let address = reader.address(&address, own_ports, &mut labels);
            if query.form == Form::WithoutMeta {
                labels.retain(|name, _| !name.starts_with(META_PREFIX));
            }
            out.extend(if *written == 0 { b"[\n" } else { b",\n" });
            out.extend(b"{\"targets\":[");
            json::string(&mut out, &address);
            out.extend(b"],\"labels\":");
            json::object(&mut out, labels.iter());
            out.push(b'}');
            *written += 1;
            if out.len() >= PIECE {
                return Some(out);
            }
        }
        *has_ended = true;
        out.extend(if *written == 0 { EMPTY } else { b"\n]\n" });
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_names_this_machine_by_its_host_header() {
        for (host, scheme, expected) in [
            ("10.0.0.12:9466", "http", Some(("10.0.0.12", 9466))),
            ("node-1.example:9466", "https", Some(("node-1.example", 9466))),
            ("[fd00::1]:9466", "http", Some(("[fd00::1]", 9466))),
            ("node-1", "http", Some(("node-1", 80))),
            ("node-1", "https", Some(("node-1", 443))),
            ("", "http", None),
            (":9466", "http", None),
            ("user@node-1:9466", "http", None),
            ("node-1:9466/x", "http", None),
            ("node-1:99999", "http", None),
            ("node-1:", "http", None),
            ("node-1:9466,evil", "http", None),
        ] {
            let header = HeaderValue::from_str(host).unwrap();
            let found = place(Some(&header), scheme);
            let found = found.as_ref().map(|(host, port)| (host.as_str(), *port));
            assert_eq!(found, expected, "{host}");
        }
        assert_eq!(place(None, "http"), None);
    }
}
