//! A route: where it is, what answers there, and what travels.

use axum::Router;
use axum::routing::MethodRouter;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use sikkerkey_protocol::management::Scope;

use crate::app::App;

/// A route, with what its description needs.
pub struct Route {
    /// Method and path, with `{…}` where an id stands: as it is written in the audit.
    pub what: &'static str,
    /// Who signs a request.
    pub signer: Signer,
    /// What a request carries; none: no body.
    pub takes: Option<SchemaOf>,
    /// What a 200 carries.
    pub answers: SchemaOf,
    /// What answers.
    pub handler: MethodRouter<App>,
}

/// Makes the schema of a type, and of the types in it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Who signs a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Nobody: it carries a token, or nothing that matters.
    Nobody,
    /// A machine.
    Machine,
    /// An agent of a cluster: its operator.
    Operator,
    /// An agent of people, with this scope; none: any.
    Manager(Option<Scope>),
}

impl Route {
    /// `GET` or `POST`.
    pub fn method(&self) -> &'static str {
        self.what.split_once(' ').map_or("POST", |(method, _)| method)
    }

    /// The path, with `{…}` where an id stands.
    pub fn path(&self) -> &'static str {
        self.what.split_once(' ').map_or(self.what, |(_, path)| path)
    }
}

/// The schema of a type.
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A router of routes.
pub fn router(routes: impl IntoIterator<Item = Route>) -> Router<App> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path(), route.handler))
}
