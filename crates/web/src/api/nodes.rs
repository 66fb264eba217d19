//! `/api/v1/nodes/<node>/tasks`: what the part on a node needs to know of its tasks.
//!
//! A reader names the answer that it has in `If-None-Match`, and may wait for another one (`?wait=50s`),
//! as with a list of targets. It is woken by changes that concern its node alone.
//!
//! The right of the route is not enough: an answer goes to the node itself, known by a verified client
//! certificate with its ID or host name, or with any name from its address, and to those who may read
//! everything. For all others, a node that there is not is like one of others.
//!
//! A node part registers and reports by its request. It has a header for that which no page of another
//! site can make a browser send.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use swarmscout_model::PromDuration;
use swarmscout_node_tasks::{
    Board, FoundNode, NODE_PART_HEADER, NoNode, NodeAnswer, NodeQuery, NodeRef, PartRefusal,
};
use swarmscout_server::{ClientRights, LongPoll, Peer, Waited, WaitingRequest};
use swarmscout_web_config::ClientCertificate;
use tokio::time::{Instant, sleep_until};

use super::super::changes::changed;
use super::super::sd::{AGE, is_known, wait};
use super::super::{App, lifecycle};
use super::{ApiError, parameter};

/// The name in the certificate that all nodes share: no node is known by it.
const SHARED_NAME: &str = "swarmscout-node";

/// `/api/v1/nodes/<node>/tasks`.
pub(super) async fn tasks(
    State(app): State<Arc<App>>,
    Path(node): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    Extension(client): Extension<ClientRights>,
    Extension(peer): Extension<Peer>,
    long_poll: LongPoll,
) -> Response {
    let can_wait = app.server.options().max_waiting > 0;
    let request = match Request::parse(&node, &uri) {
        Ok(request) => request,
        Err(message) => return ApiError::BadData(message).into_response(),
    };
    let wait = request.wait.filter(|_| can_wait);
    let reader = NodeReader { app: &app, request, headers, client, peer };
    let mut waiting = None;
    let until = Instant::now() + wait.unwrap_or_default();
    let mut response = tokio::select! {
        response = reader.answer(until, &long_poll, &mut waiting) => response,
        response = long_poll.revoked() => response,
    };
    if waiting.is_some() {
        response.extensions_mut().insert(Waited);
    }
    if can_wait {
        response.headers_mut().insert(wait::SUPPORTED, wait::LONGEST_AS_HEADER);
    }
    response
}

/// What a request asks for.
struct Request {
    node: NodeRef,
    query: NodeQuery,
    wait: Option<Duration>,
}

impl Request {
    fn parse(node: &str, uri: &Uri) -> Result<Self, String> {
        let node = node.parse()?;
        let query = NodeQuery::parse(uri.query().unwrap_or_default())?;
        let wait = match &*parameter(uri, "wait") {
            "" => None,
            wait => {
                let wait = wait.parse().ok().map(PromDuration::get);
                let wait = wait.filter(|wait| wait::ALLOWED.contains(wait));
                Some(wait.ok_or("wait is a duration from 1s to 5m: wait=50s")?)
            }
        };
        Ok(Self { node, query, wait })
    }
}

/// A client that asks for the tasks of a node.
struct NodeReader<'a> {
    app: &'a App,
    request: Request,
    headers: HeaderMap,
    client: ClientRights,
    peer: Peer,
}

/// Whose tasks a client may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is that node, or that is not checked.
    Own,
    /// It may read everything.
    Reader,
}

impl NodeReader<'_> {
    fn board(&self) -> &Board {
        &self.app.context.outputs.nodes
    }

    async fn answer(
        &self,
        until: Instant,
        long_poll: &LongPoll,
        waiting: &mut Option<WaitingRequest>,
    ) -> Response {
        let board = self.board();
        let mut known = board.subscribe();
        let mut ready = self.app.context.program.ready.clone();
        let mut registers = self.is_node_part();
        loop {
            // What changes from now on ends the wait below.
            known.mark_unchanged();
            ready.mark_unchanged();
            if let Some(stopping) = lifecycle::unavailable(self.app) {
                return stopping;
            }
            if let Err(refusal) = self.check_certificate() {
                self.note_refusal();
                return refusal.into_response();
            }
            let mut changes = match board.find(&self.request.node) {
                Ok(found) => {
                    let id = found.identity.id.clone();
                    let standing = match self.standing(&found) {
                        Ok(standing) => standing,
                        Err(refusal) => {
                            self.note_refusal();
                            return refusal.into_response();
                        }
                    };
                    // Once: while this request waits, the node part may say something newer by another.
                    if standing == Standing::Own && std::mem::take(&mut registers) {
                        let query = &self.request.query;
                        if let Some(registration) = query.registration {
                            board.register(&id, registration);
                        }
                        board.report(&id, &query.report);
                    }
                    let changes = board.subscribe_node(&id);
                    let Some(answer) = board.answer(&id, &self.request.query.labels) else {
                        continue;
                    };
                    let etag = HeaderValue::try_from(&answer.etag);
                    let etag = etag.unwrap_or(HeaderValue::from_static("\"\""));
                    if until <= Instant::now() || !is_known(&self.headers, &etag) {
                        return self.respond(&id, &answer, etag);
                    }
                    Some(changes)
                }
                Err(missing) => {
                    let may_wait = matches!(missing, NoNode::NotReady(_));
                    if !may_wait && !self.proof().reads_all() {
                        return self.proof().stranger(&self.request.node).into_response();
                    }
                    if !may_wait || until <= Instant::now() {
                        return no_node(missing).into_response();
                    }
                    None
                }
            };
            if waiting.is_none() {
                match long_poll.start() {
                    Ok(started) => *waiting = Some(started),
                    Err(too_many) => return too_many.into_response(),
                }
            }
            let is_unknown = changes.is_none();
            let of_node = async {
                match &mut changes {
                    Some(changes) => changed(changes).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = of_node => {}
                () = changed(&mut known), if is_unknown => {}
                () = changed(&mut ready) => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Whether the client says to be a node part: no other one registers.
    fn is_node_part(&self) -> bool {
        self.headers.contains_key(NODE_PART_HEADER)
    }

    /// For `doctor`, if it says to be a node part.
    fn note_refusal(&self) {
        let Proof { certificate, address, .. } = self.proof();
        let registers = self.request.query.registration.is_some();
        if registers && self.is_node_part() {
            let refusal = PartRefusal { from: address, has_certificate: certificate.is_some() };
            self.board().refuse(&self.request.node, refusal);
        }
    }

    /// Whether the client has shown who it is, if that is needed.
    fn check_certificate(&self) -> Result<(), ApiError> {
        self.proof().check()
    }

    /// Whether the client may read the tasks of this node.
    fn standing(&self, node: &FoundNode) -> Result<Standing, ApiError> {
        let proof = self.proof();
        proof.standing(node).ok_or_else(|| proof.stranger(&self.request.node))
    }

    fn proof(&self) -> Proof<'_> {
        Proof {
            certificate: self.peer.certificate.as_deref().filter(|it| it.verified),
            address: self.peer.address.map(|address| address.ip().to_canonical()),
            may_read: self.client.may_read,
            is_open: self.app.context.options.open_nodes,
        }
    }

    fn respond(&self, id: &str, answer: &NodeAnswer, etag: HeaderValue) -> Response {
        if self.request.query.registration.is_some() && self.is_node_part() {
            self.board().seen(id);
        }
        let mut response = if is_known(&self.headers, &etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], Body::from(answer.body.clone())).into_response()
        };
        let age = self.board().age(id, self.app.context.clock.now().instant);
        let headers = response.headers_mut();
        headers.insert(header::ETAG, etag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
        response
    }
}

/// What is proven of a client.
#[derive(Clone, Copy, Default)]
struct Proof<'a> {
    /// If it is verified.
    certificate: Option<&'a ClientCertificate>,
    /// `None` on a unix socket.
    address: Option<IpAddr>,
    /// Whether it has the right to read everything.
    may_read: bool,
    /// Whether nothing needs to be proven.
    is_open: bool,
}

impl Proof<'_> {
    fn check(&self) -> Result<(), ApiError> {
        if self.certificate.is_some() || self.reads_all() {
            return Ok(());
        }
        Err(ApiError::Forbidden(
            "only clients with a verified certificate get the tasks of a node: set client_ca_file \
             and client_auth_type: RequireAndVerifyClientCert in the web configuration \
             (swarmscout tls init makes all of it), or start with --nodes.insecure"
                .to_owned(),
        ))
    }

    /// Whether the client may know which nodes there are.
    fn reads_all(&self) -> bool {
        self.may_read || self.is_open
    }

    fn standing(&self, node: &FoundNode) -> Option<Standing> {
        let FoundNode { identity, is_name_unique, is_address_unique } = node;
        let proves =
            |name: &str| name != SHARED_NAME && self.certificate.is_some_and(|it| it.proves(name));
        let is_at_home = || {
            let own = identity.address.parse::<IpAddr>().ok();
            let is_there = own.is_some() && own == self.address;
            self.certificate.is_some() && *is_address_unique && is_there
        };
        let is_own =
            || proves(&identity.id) || (*is_name_unique && proves(&identity.name)) || is_at_home();
        if self.is_open || is_own() {
            return Some(Standing::Own);
        }
        self.may_read.then_some(Standing::Reader)
    }

    /// The answer to a client that is not this node, whether there is such a node or not.
    fn stranger(&self, asked: &NodeRef) -> ApiError {
        let from = self.address.map_or("a unix socket".to_owned(), |address| address.to_string());
        ApiError::Forbidden(format!(
            "the client certificate does not name the node {asked}, and {from} is not its address, if \
             there is such a node: make a certificate for each node (swarmscout tls client NODE), or \
             publish the port in mode host, so that addresses of clients arrive"
        ))
    }
}

fn no_node(missing: NoNode) -> ApiError {
    match missing {
        NoNode::NotReady(text) => ApiError::Unavailable(text),
        NoNode::Unknown(text) => ApiError::NotFound(text),
        NoNode::Ambiguous(text) => ApiError::BadData(text),
    }
}

#[cfg(test)]
mod tests {
    use swarmscout_node_tasks::NodeIdentity;

    use super::*;

    /// Of a client with these names in its certificate, from this address, for a node
    /// `n1 worker-1 192.0.2.1`: `own`, `reader` or `no`.
    fn check(names: &[&str], address: &str, may_read: bool, expected: &str) {
        let certificate = ClientCertificate {
            verified: true,
            common_name: names.first().map(|name| (*name).to_owned()),
            alternative_names: names.iter().skip(1).map(|name| (*name).to_owned()).collect(),
        };
        let proof = Proof {
            certificate: (!names.is_empty()).then_some(&certificate),
            address: address.parse().ok(),
            may_read,
            is_open: false,
        };
        let [id, name, address] = ["n1", "worker-1", "192.0.2.1"].map(str::to_owned);
        let identity = NodeIdentity { id, name, address };
        let found = FoundNode { identity, is_name_unique: true, is_address_unique: true };
        let standing = |proof: Proof<'_>| {
            let standing = proof.check().ok().and_then(|()| proof.standing(&found));
            match standing {
                Some(Standing::Own) => "own",
                Some(Standing::Reader) => "reader",
                None => "no",
            }
        };
        assert_eq!(standing(proof), expected, "{names:?} {:?}", proof.address);
        assert_eq!(standing(Proof { is_open: true, ..proof }), "own");
    }

    #[test]
    fn a_certificate_reads_the_tasks_of_its_own_node_alone() {
        check(&["n1"], "198.51.100.9", false, "own");
        check(&["worker-1"], "", false, "own");
        check(&["x", "worker-1"], "", false, "own");
        check(&["n2"], "198.51.100.9", false, "no");
        check(&["worker-2", "worker-2.example"], "", false, "no");
        check(&["worker-1.example"], "", false, "no");
        // One certificate for all nodes: the address decides.
        check(&["swarmscout-node"], "192.0.2.1", false, "own");
        check(&["swarmscout-node"], "192.0.2.2", false, "no");
        check(&["swarmscout-node"], "", false, "no");
        // An address alone proves nothing.
        check(&[], "192.0.2.1", false, "no");
        check(&[], "192.0.2.9", true, "reader");
        check(&["admin"], "192.0.2.9", true, "reader");
    }

    #[test]
    fn a_name_that_several_nodes_have_proves_nothing() {
        let certificate = ClientCertificate {
            verified: true,
            common_name: Some("worker-1".to_owned()),
            alternative_names: vec!["swarmscout-node".to_owned()],
        };
        let proof = Proof { certificate: Some(&certificate), ..Proof::default() };
        for (name, is_name_unique, expected) in
            [("worker-1", true, true), ("worker-1", false, false), ("swarmscout-node", true, false)]
        {
            let [id, name] = ["n1", name].map(str::to_owned);
            let identity = NodeIdentity { id, name, address: String::new() };
            let found = FoundNode { identity, is_name_unique, is_address_unique: true };
            assert_eq!(proof.standing(&found).is_some(), expected);
        }
    }

    #[test]
    fn an_address_that_two_swarms_have_proves_nothing() {
        let certificate =
            ClientCertificate { verified: true, common_name: None, alternative_names: Vec::new() };
        let address = "192.0.2.1".parse().ok();
        let proof = Proof { certificate: Some(&certificate), address, ..Proof::default() };
        for is_address_unique in [true, false] {
            let [id, name, address] = ["n1", "worker-1", "192.0.2.1"].map(str::to_owned);
            let identity = NodeIdentity { id, name, address };
            let found = FoundNode { identity, is_name_unique: true, is_address_unique };
            assert_eq!(proof.standing(&found).is_some(), is_address_unique);
        }
    }
}
