//! A route table that keeps, beside what answers, what can be said of it. Knows no route.

use std::sync::Arc;

use axum::{
    Router,
    handler::Handler as Answers,
    http::Method,
    routing::{self, MethodRouter},
};

use super::signature::{Says, Signature};
use crate::app::App;

/// What is answered, and what is told of it.
#[derive(Default)]
pub struct Routes {
    pub router: Router<Arc<App>>,
    pub endpoints: Vec<Endpoint>,
}

/// One method of one path.
pub struct Endpoint {
    pub path: &'static str,
    pub method: Method,
    pub says: Says,
}

/// The methods of one path.
#[derive(Default)]
pub struct Methods {
    router: MethodRouter<Arc<App>>,
    says: Vec<(Method, Says)>,
}

impl Routes {
    pub fn route(mut self, path: &'static str, methods: Methods) -> Self {
        self.router = self.router.route(path, methods.router);
        self.endpoints.extend(methods.says.into_iter().map(|(method, says)| Endpoint { path, method, says }));
        self
    }
}

pub fn get<A: Answers<X, Arc<App>> + Signature<P>, X: 'static, P>(endpoint: A) -> Methods {
    Methods::default().get(endpoint)
}

pub fn post<A: Answers<X, Arc<App>> + Signature<P>, X: 'static, P>(endpoint: A) -> Methods {
    Methods::default().post(endpoint)
}

pub fn delete<A: Answers<X, Arc<App>> + Signature<P>, X: 'static, P>(endpoint: A) -> Methods {
    Methods::default().delete(endpoint)
}

macro_rules! methods {
    ($($name:ident $method:ident;)*) => {
        impl Methods {
            $(pub fn $name<A: Answers<X, Arc<App>> + Signature<P>, X: 'static, P>(mut self, endpoint: A) -> Self {
                self.says.push((Method::$method, A::says()));
                self.router = self.router.merge(routing::$name(endpoint));
                self
            })*
        }
    };
}

methods! {
    get GET;
    post POST;
    patch PATCH;
    delete DELETE;
}
