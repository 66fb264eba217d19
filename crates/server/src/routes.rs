//! Routes, each made with the right that it needs.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::MethodRouter;
use swarmscout_web_config::Right;

use crate::HttpServer;

/// Routes whose handlers have the state `S`. A client reaches a handler only with the right of its
/// route.
pub struct Routes<S> {
    server: Arc<HttpServer>,
    router: Router<S>,
    /// Paths below the route prefix.
    pub(crate) rights: Vec<(String, Right)>,
    through: Option<Layer<S>>,
}

type Layer<S> = Box<dyn Fn(MethodRouter<S>) -> MethodRouter<S> + Send>;

impl<S> fmt::Debug for Routes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rights).finish()
    }
}

impl<S> Routes<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// No routes yet.
    pub fn new(server: &Arc<HttpServer>) -> Self {
        Self {
            server: Arc::clone(server),
            router: Router::new(),
            rights: Vec::new(),
            through: None,
        }
    }

    /// Adds a layer to each of the routes that follow. It sees requests with the right of the route.
    #[must_use]
    pub fn through(
        self,
        layer: impl Fn(MethodRouter<S>) -> MethodRouter<S> + Send + 'static,
    ) -> Self {
        Self { through: Some(Box::new(layer)), ..self }
    }

    /// Adds a route.
    #[must_use]
    pub fn route(mut self, right: Right, path: &str, methods: MethodRouter<S>) -> Self {
        let methods = match &self.through {
            Some(layer) => layer(methods),
            None => methods,
        };
        let state = (Arc::clone(&self.server), right);
        let methods = methods.layer(middleware::from_fn_with_state(state, require));
        self.router = self.router.route(path, methods);
        self.rights.push((path.to_owned(), right));
        self
    }

    /// Answers paths without a route.
    #[must_use]
    pub fn fallback<H, T>(self, right: Right, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let state = (Arc::clone(&self.server), right);
        let handler = handler.layer(middleware::from_fn_with_state(state, require));
        Self { router: self.router.fallback(handler), ..self }
    }

    /// Adds layers to all routes so far. They see requests without the right of the route, too.
    #[must_use]
    pub fn layered(self, layers: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        Self { router: layers(self.router), ..self }
    }

    /// Adds `routes` below `path`.
    #[must_use]
    pub fn nest(mut self, path: &str, routes: Self) -> Self {
        self.router = self.router.nest(path, routes.router);
        self.rights.extend(
            routes.rights.into_iter().map(|(below, right)| (format!("{path}{below}"), right)),
        );
        self
    }

    pub(crate) fn into_parts(self) -> (Arc<HttpServer>, Router<S>) {
        (self.server, self.router)
    }
}

/// Answers only clients with this right.
pub(crate) async fn require(
    State((server, right)): State<(Arc<HttpServer>, Right)>,
    mut request: Request,
    next: Next,
) -> Response {
    match server.admit(right, &request).await {
        Ok(client) => {
            request.extensions_mut().insert(client);
            next.run(request).await
        }
        Err(response) => response,
    }
}
