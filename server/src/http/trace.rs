//! The span of a request.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::Request;
use sikkerkey_traces::{parent, span};
use tracing::Span;
use tracing::field::Empty;

/// The paths of all routes and pages, with `{…}` where an id stands.
static PATHS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let all = super::routes().into_iter().chain(super::pages());
    all.map(|route| route.path).collect()
});

/// The span of a request, below its caller's. Nothing of the request is in it that a client chose, ids included.
pub(super) fn request(request: &Request<Body>) -> Span {
    let span = span!(
        "request",
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = route(request.uri().path()),
        http.response.status_code = Empty,
    );
    parent::follow(&span, request.headers());
    span
}

/// The route that a path is of.
fn route(path: &str) -> &'static str {
    let is_of = |route: &&&'static str| {
        let mut given = path.split('/');
        let fits = |part: &str| given.next().is_some_and(|it| it == part || (part.starts_with('{') && !it.is_empty()));
        route.split('/').all(fits) && given.next().is_none()
    };
    // `/v1/x/list` is of the route of that path, not of `/v1/x/{id}`.
    let of = PATHS.iter().filter(is_of).min_by_key(|route| route.matches('{').count());
    of.map_or("none", |route| route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_stands_for_every_id_and_for_nothing_else() {
        for (path, expected) in [
            ("/v1/secret/sk_db", "/v1/secret/{secret}"),
            ("/readyz", "/readyz"),
            ("/v1/secret/sk_db/more", "none"),
            ("/v1/secret/", "none"),
            ("/nowhere/a-value", "none"),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
