//! One connection to a manager's SwarmKit: calls, and complete listings.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::header::USER_AGENT;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use prost::encoding::bytes::merge;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use prost::{DecodeError, Message};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};
use tower_service::Service as Call;

use super::convert::{Converter, Listed as _};
use super::messages as sent;
use super::refusal::{Place, within};
use super::{Method, Watch};
use crate::Error;
use crate::engine::Node;

/// A connection to a control socket. It ends when it and its watches are dropped.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    pub(super) place: Place,
    /// The largest answer that is read, in bytes.
    max_answer: usize,
}

impl Connection {
    pub(super) fn new(sender: Sender, place: Place, max_answer: usize) -> Self {
        Self { sender, place, max_answer }
    }

    /// Subscribes to every change of nodes, services, tasks and networks. Later changes are reported,
    /// so a listing that is made afterwards misses nothing.
    pub async fn watch(&mut self, deadline: Instant) -> Result<Watch, Error> {
        within(&self.place, deadline, Watch::open(&self.sender, &self.place, self.max_answer)).await
    }

    /// Whether the Swarm has a node of this ID. That it is answered proves that the connection, and
    /// the way from the manager to its leader, work.
    pub async fn knows_node(&mut self, id: &str, deadline: Instant) -> Result<bool, Error> {
        Ok(self.node(id, deadline).await?.is_some())
    }

    /// The node of this ID, with the member that a watch lacks: its `manager`.
    pub async fn node(&mut self, id: &str, deadline: Instant) -> Result<Option<Arc<Node>>, Error> {
        // SwarmKit refuses an empty ID.
        if id.is_empty() {
            return Ok(None);
        }
        let request = sent::GetNodeRequest { node_id: id.to_owned() }.encode_to_vec();
        within(&self.place, deadline, async {
            let answer = match self.send(Method::GetNode, request).await {
                Err(status) if status.code() == Code::NotFound => return Ok(None),
                answer => answer.map_err(|status| self.failed(Method::GetNode, &status))?,
            };
            let answer = sent::GetNodeResponse::decode(answer);
            let answer = answer.map_err(|error| self.unreadable(Method::GetNode, &error))?;
            let node = answer.node.and_then(|node| Node::convert(node, &mut Converter::default()));
            Ok(node.map(Arc::new))
        })
        .await
    }

    pub(super) async fn send(&self, method: Method, request: Vec<u8>) -> Result<Bytes, Status> {
        let mut grpc = self.sender.ready(self.max_answer).await?;
        let path = PathAndQuery::from_static(method.path());
        grpc.unary(tonic::Request::new(request), path, Raw).await.map(tonic::Response::into_inner)
    }

    pub(super) fn failed(&self, method: Method, status: &Status) -> Error {
        self.place.failed(method, status, self.max_answer)
    }

    pub(super) fn unreadable(&self, method: Method, error: &DecodeError) -> Error {
        self.place.answer(format!("cannot read the answer to {}: {error}", method.path()))
    }
}

/// The elements of the repeated member number 1 of a message. Others are skipped.
#[derive(Debug, Default)]
pub(super) struct Elements(pub(super) Bytes);

impl Iterator for Elements {
    type Item = Result<Bytes, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.read().transpose();
        if matches!(element, Some(Err(_))) {
            self.0.clear();
        }
        element
    }
}

impl Elements {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn read(&mut self) -> Result<Option<Bytes>, DecodeError> {
        while self.0.has_remaining() {
            let (tag, wire_type) = decode_key(&mut self.0)?;
            if tag != 1 {
                skip_field(wire_type, tag, &mut self.0, DecodeContext::default())?;
                continue;
            }
            let mut element = Bytes::new();
            merge(wire_type, &mut element, &mut self.0, DecodeContext::default())?;
            return Ok(Some(element));
        }
        Ok(None)
    }
}

/// Sends requests over one HTTP/2 connection, which it keeps alive.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    requests: SendRequest<tonic::body::Body>,
    user_agent: HeaderValue,
    /// The task that reads and writes. It ends with the last of those that send.
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl Sender {
    pub(super) fn new(
        requests: SendRequest<tonic::body::Body>,
        user_agent: HeaderValue,
        driver: Arc<AbortOnDropHandle<()>>,
    ) -> Self {
        Self { requests, user_agent, _driver: driver }
    }

    /// A client that reads answers of at most `limit` bytes.
    pub(super) async fn ready(&self, limit: usize) -> Result<Grpc<Self>, Status> {
        let grpc = Grpc::with_origin(self.clone(), Uri::from_static("http://swarmkit"));
        let mut grpc = grpc.max_decoding_message_size(limit);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(grpc)
    }
}

impl Call<http::Request<tonic::body::Body>> for Sender {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.requests.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<tonic::body::Body>) -> Self::Future {
        request.headers_mut().insert(USER_AGENT, self.user_agent.clone());
        Box::pin(self.requests.send_request(request))
    }
}

/// Hands messages through as they are: a listing is too large to be decoded at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
