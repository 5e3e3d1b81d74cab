//! `GET /v1/openapi.json`: every route, what it takes and what it answers, as the code has it.
//!
//! Made from the routes themselves and from the schemas of their types, so it cannot say anything else than what is
//! served. What a type's documentation says stands in it, too.

use std::sync::OnceLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use sikkerkey_protocol::error_body::ErrorBody;
use sikkerkey_protocol::header::{MACHINE_ID, NONCE, SIGNATURE, TIMESTAMP};

use super::account::SESSION;
use super::route::{Content, Route, Signer, Verb};

/// What a route may answer beside its success.
const REFUSALS: [(&str, &str); 8] = [
    ("400", "The request is malformed or asks for something impossible."),
    ("401", "Bad or stale signature, replay, unknown or expired machine, bad token."),
    ("403", "Known, but not allowed."),
    ("404", "No such thing for whoever asks."),
    ("409", "In conflict with what is there."),
    ("423", "The project is frozen."),
    ("429", "Locked out, or a cap or a rate is reached; `Retry-After` says until when."),
    ("503", "Sealed, overloaded or unavailable."),
];

const ABOUT: &str = "A signed request carries the id of its signer, the time, a nonce and a signature in four headers. \
    What is signed is `{METHOD}:{path}:{timestamp}:{nonce}:{bodyHash}`: the path as it stands on the wire, Unix seconds, \
    any text that is used once, and the lower-case hex SHA-256 of the body. Machines read secrets and never manage; agents \
    manage, each within its scopes, and no route of theirs answers a stored value. People log in, and their browsers carry \
    the session in a cookie; a request that changes something has to come from the server's own pages, which `Origin` or \
    `Sec-Fetch-Site` says. An answer that is no success is `{\"error\": \"…\"}`.";

/// The route.
pub(super) fn route() -> Route {
    Route::new(Verb::Get, "/v1/openapi.json", Signer::Nobody, async || answer()).answers::<Map<String, Value>>()
}

fn answer() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| text(&super::routes()));
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], text.as_str()).into_response()
}

/// The description of some routes.
pub fn text(routes: &[Route]) -> String {
    let settings = SchemaSettings::draft2020_12().with(|it| {
        it.definitions_path = "/components/schemas".into();
        it.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let refusal = generator.subschema_for::<ErrorBody>();
    let mut paths = Map::new();
    for route in routes {
        let item = paths.entry(route.path).or_insert_with(|| json!({ "parameters": parameters(route.path) }));
        let verb = match route.verb {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        if let Value::Object(item) = item {
            item.insert(verb.to_owned(), operation(&mut generator, route, verb));
        }
    }
    let responses: Map<String, Value> = REFUSALS
        .iter()
        .map(|(status, text)| {
            let content = json!({ "application/json": { "schema": refusal } });
            ((*status).to_owned(), json!({ "description": text, "content": content }))
        })
        .collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "SikkerKey",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            "description": ABOUT,
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": responses,
            "securitySchemes": {
                "signer": header(MACHINE_ID, "The machine's or the agent's id."),
                "timestamp": header(TIMESTAMP, "Unix seconds."),
                "nonce": header(NONCE, "Any text that this signer uses once."),
                "signature": header(SIGNATURE, "The Ed25519 signature in base64."),
                "session": cookie(SESSION, "The token of a person's session, which logging in gives."),
            },
        },
    });
    // Nothing in it has a key that is no text.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn header(name: &str, description: &str) -> Value {
    json!({ "type": "apiKey", "in": "header", "name": name, "description": description })
}

fn cookie(name: &str, description: &str) -> Value {
    json!({ "type": "apiKey", "in": "cookie", "name": name, "description": description })
}

fn parameters(path: &str) -> Vec<Value> {
    let name = |part: &str| part.strip_prefix('{').and_then(|it| it.strip_suffix('}')).map(str::to_owned);
    let parameter = |name: String| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } });
    path.split('/').filter_map(name).map(parameter).collect()
}

fn operation(generator: &mut SchemaGenerator, route: &Route, verb: &str) -> Value {
    let words: Vec<&str> =
        route.path.split(['/', '{', '}', '.', '-']).filter(|it| !it.is_empty() && *it != "v1").collect();
    let (tag, who) = match route.signer {
        Signer::Person => ("people", "It carries the cookie of a person's session.".to_owned()),
        Signer::Nobody => ("open", "Nobody signs it.".to_owned()),
        Signer::Machine => ("machines", "A machine signs it.".to_owned()),
        Signer::Operator => ("operators", "The agent of a cluster signs it.".to_owned()),
        Signer::Manager(None) => ("management", "An agent signs it, whatever its scopes.".to_owned()),
        Signer::Manager(Some(scope)) => ("management", format!("An agent signs it. Scope: `{scope}`.")),
    };
    let success = match route.answers {
        Content::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        Content::Text(media_types) => {
            let text = |it: &&str| ((*it).to_owned(), json!({ "schema": { "type": "string" } }));
            Value::Object(media_types.iter().map(text).collect())
        }
    };
    let refused = |(status, text): &(&str, &str)| {
        let response = match (route.answers, &success) {
            // What is piped into a shell is refused with a text that a shell understands.
            (Content::Text(_), Value::Object(texts)) => {
                let mut content = texts.clone();
                content
                    .insert("application/json".to_owned(), json!({ "schema": generator.subschema_for::<ErrorBody>() }));
                json!({ "description": text, "content": content })
            }
            _ => json!({ "$ref": format!("#/components/responses/{status}") }),
        };
        ((*status).to_owned(), response)
    };
    let mut responses: Map<String, Value> = REFUSALS.iter().map(refused).collect();
    responses.insert("200".to_owned(), json!({ "description": "Done.", "content": success }));
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), json!(format!("{verb}_{}", words.join("_"))));
    operation.insert("tags".to_owned(), json!([tag]));
    operation.insert("description".to_owned(), json!(who));
    operation.insert("responses".to_owned(), Value::Object(responses));
    if route.signer == Signer::Person {
        operation.insert("security".to_owned(), json!([{ "session": [] }]));
    } else if route.signer != Signer::Nobody {
        let signed = json!([{ "signer": [], "timestamp": [], "nonce": [], "signature": [] }]);
        operation.insert("security".to_owned(), signed);
    }
    if let Some((schema, required)) = route.takes {
        let content = json!({ "application/json": { "schema": schema(generator) } });
        operation.insert("requestBody".to_owned(), json!({ "required": required, "content": content }));
    }
    Value::Object(operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

    #[test]
    fn the_description_of_the_routes_is_as_committed() {
        let text = text(&crate::http::routes());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(GOLDEN, &text).unwrap();
        }
        let committed = std::fs::read_to_string(GOLDEN).unwrap();
        assert!(text == committed, "the routes are others: UPDATE_GOLDEN=1 writes {GOLDEN}, git diff shows how");
    }

    #[test]
    fn no_two_routes_have_one_name_and_every_reference_is_there() {
        let document: Value = serde_json::from_str(&text(&crate::http::routes())).unwrap();
        let mut names = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (verb, operation) in item.as_object().unwrap().iter().filter(|(verb, _)| *verb != "parameters") {
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(names.insert(name.clone()), "{verb} {path}: {name} stands twice");
            }
        }
        let mut references = Vec::new();
        gather(&document, &mut references);
        assert!(references.len() > names.len());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    fn gather(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|it| gather(it, references));
            }
            Value::Array(items) => items.iter().for_each(|it| gather(it, references)),
            _ => {}
        }
    }
}
