//! A route: where it is, what answers there, and what travels.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use sikkerkey_protocol::management::Scope;

use crate::app::App;

/// A route, with what its description needs.
pub struct Route {
    /// Its method.
    pub verb: Verb,
    /// Its path, with `{…}` where an id stands.
    pub path: &'static str,
    /// Who signs a request.
    pub signer: Signer,
    /// What a request carries, and whether it has to; none: no body.
    pub takes: Option<(SchemaOf, bool)>,
    /// What a 200 carries.
    pub answers: Content,
    /// What answers.
    handler: MethodRouter<App>,
}

/// A method. There is no third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of HTTP")]
pub enum Verb {
    Get,
    Post,
}

/// Who signs a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Nobody: it carries a token, or asks for what is public.
    Nobody,
    /// A machine.
    Machine,
    /// The agent of a cluster: its operator.
    Operator,
    /// An agent of people, with this scope; none: any.
    Manager(Option<Scope>),
    /// Nobody: it carries the cookie of a person's session.
    Person,
}

/// What an answer carries.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// JSON of this schema.
    Json(SchemaOf),
    /// A text of one of these media types.
    Text(&'static [&'static str]),
}

/// Makes the schema of a type, and of the types in it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

impl Route {
    /// A route that takes no body and answers a plain text.
    pub fn new<H, T>(verb: Verb, path: &'static str, signer: Signer, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let handler = match verb {
            Verb::Get => get(handler),
            Verb::Post => post(handler),
        };
        Self { verb, path, signer, takes: None, answers: Content::Text(&["text/plain"]), handler }
    }

    /// Its requests carry a `T`.
    #[must_use]
    pub fn takes<T: JsonSchema>(self) -> Self {
        Self { takes: Some((schema_of::<T>, true)), ..self }
    }

    /// Its requests may carry a `T`.
    #[must_use]
    pub fn may_take<T: JsonSchema>(self) -> Self {
        Self { takes: Some((schema_of::<T>, false)), ..self }
    }

    /// Its requests have no body.
    #[must_use]
    pub fn takes_nothing(self) -> Self {
        Self { takes: None, ..self }
    }

    /// Its 200 carries a `T`.
    #[must_use]
    pub fn answers<T: JsonSchema>(self) -> Self {
        Self { answers: Content::Json(schema_of::<T>), ..self }
    }

    /// Its 200 carries a text of one of these media types.
    #[must_use]
    pub fn answers_text(self, media_types: &'static [&'static str]) -> Self {
        Self { answers: Content::Text(media_types), ..self }
    }
}

fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A router of routes.
pub fn router(routes: impl IntoIterator<Item = Route>) -> Router<App> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler))
}
