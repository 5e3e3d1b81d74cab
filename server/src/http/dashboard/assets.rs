//! Style, script and picture. Nothing comes from anywhere else.
//!
//! What the script does, by the attributes that pages carry:
//! * `time[datetime]`: shown in the viewer's zone.
//! * `data-copy="id"` on a hidden button: shown, and copies the text of that element.
//! * `data-live="seconds"` on an element with an id: asked for again so often, by the page's own address, while the page is
//!   looked at and nobody types in it or is about to press a button there. Such a request keeps no session from ending.
//!   With `data-from="address"` it is asked for there: what answers a form has no address of its own.
//! * `input[data-zone]`: filled with the viewer's time zone.
//! * `data-until="millis"`: counts down to that instant.
//! * `form[data-filter="id …"]`, a form that asks: sent while one types, and by its buttons; the elements of these ids are
//!   replaced.
//! * `form[data-check="address"]`: sent there while one types; in it each element with `data-checked` and an id is replaced, and
//!   the field of an `.error` that says something is marked.
//! * Every form that changes something: sent beside the page, so that a refusal stands where it was typed and nothing is lost.
//! * `body[data-ends]`: when the session ends; then the page closes itself.

use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use sikkerkey_protocol::canonical::sha256_hex;

use crate::http::route::{Route, Signer, Verb};

/// A file of the dashboard.
pub(super) struct Asset {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
    version: LazyLock<String>,
}

/// How everything looks.
pub(super) static STYLE: Asset = Asset {
    path: "/assets/dashboard.css",
    media_type: "text/css; charset=utf-8",
    text: include_str!("assets/dashboard.css"),
    version: LazyLock::new(|| version(include_str!("assets/dashboard.css"))),
};
/// What pages do by themselves.
pub(super) static SCRIPT: Asset = Asset {
    path: "/assets/dashboard.js",
    media_type: "text/javascript; charset=utf-8",
    text: include_str!("assets/dashboard.js"),
    version: LazyLock::new(|| version(include_str!("assets/dashboard.js"))),
};
/// The picture in the browser's tab.
pub(super) static ICON: Asset = Asset {
    path: "/assets/icon.svg",
    media_type: "image/svg+xml",
    text: include_str!("assets/icon.svg"),
    version: LazyLock::new(|| version(include_str!("assets/icon.svg"))),
};

/// The routes.
pub(super) fn routes() -> [Route; 3] {
    [&STYLE, &SCRIPT, &ICON].map(|asset| {
        Route::new(Verb::Get, asset.path, Signer::Nobody, async move |RawQuery(query): RawQuery| {
            asset.respond(query.as_deref())
        })
    })
}

impl Asset {
    /// Where a page finds it. Another content has another address.
    pub(super) fn address(&self) -> String {
        format!("{}?v={}", self.path, *self.version)
    }

    fn respond(&self, query: Option<&str>) -> Response {
        // While servers of two releases answer, one is asked for what is the other's: that is not to be kept.
        let is_ours = query.and_then(|it| it.strip_prefix("v=")) == Some(self.version.as_str());
        let kept = if is_ours { "public, max-age=31536000, immutable" } else { "no-cache" };
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(self.media_type)),
            (CACHE_CONTROL, HeaderValue::from_static(kept)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        ];
        (headers, self.text).into_response()
    }
}

fn version(text: &str) -> String {
    sha256_hex(text.as_bytes()).chars().take(16).collect()
}
