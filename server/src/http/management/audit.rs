//! The audit. A use case writes down that somebody looks; then it is looked, beside the writer.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};
use sikkerkey_protocol::management::{AuditExport, AuditQuery, ExportFormat, Next, Scope};

use super::lists::{bounded, bounded_or_empty};
use super::{Route, acting, done, nothing, plain};
use crate::app::App;
use crate::http::agent::parse;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::management::audit::{self, WantedFile, WrittenFile};

/// Always UTF-8, and with headings.
const CSV: &str = "text/csv";
const JSONL: &str = "application/jsonl";

pub(super) fn routes() -> [Route; 4] {
    [
        plain(Scope::AuditRead, "GET /v1/ai/audit/actions", audit::actions),
        acting(Scope::AuditRead, "POST /v1/ai/audit/query", bounded_or_empty, audit::query, audit::find)
            .may_take::<AuditQuery>(),
        done(Scope::AuditRead, "POST /v1/ai/audit/export", export, audit::export, write)
            .may_take::<AuditExport>()
            .answers_text(&[CSV, JSONL]),
        acting(
            Scope::AuditRead,
            "GET /v1/ai/activity",
            nothing,
            |context, manager, ids, ()| audit::activity(context, manager, ids),
            audit::find_recent,
        )
        .takes_nothing(),
    ]
}

async fn write(app: App, wanted: WantedFile) -> Response {
    match audit::write(app, wanted).await {
        Ok(file) => respond(file),
        Err(refusal) => refusal.into_response(),
    }
}

/// How far it was looked stands in headers: a file has no place for it.
fn respond(file: WrittenFile) -> Response {
    let kind = match file.format {
        ExportFormat::Csv => CSV,
        ExportFormat::Jsonl => JSONL,
    };
    let mut response = ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], file.text).into_response();
    let headers = response.headers_mut();
    headers.insert(
        "x-sikkerkey-complete",
        HeaderValue::from_static(if file.page.next.is_none() { "true" } else { "false" }),
    );
    match file.page.next {
        Some(Next::Before(seq)) => drop(headers.insert("x-sikkerkey-next-before", HeaderValue::from(seq))),
        Some(Next::After(seq)) => drop(headers.insert("x-sikkerkey-next-after", HeaderValue::from(seq))),
        None => {}
    }
    response
}

/// Without fields nothing is restricted, and then no body is sent.
pub(super) fn or_nothing<T: serde::de::DeserializeOwned + Default>(body: &[u8]) -> Result<T, Refusal> {
    if body.is_empty() { Ok(T::default()) } else { parse(body) }
}

/// The form, and beside it a question that takes no field that it does not know.
fn export(body: &[u8]) -> Result<AuditExport, Refusal> {
    let mut fields: Map<String, Value> = or_nothing(body)?;
    let format = fields.remove("format").unwrap_or_default();
    let format =
        serde_json::from_value(format).map_err(|_| Refusal::new(RefusalKind::Invalid, "format is csv or jsonl"))?;
    // Once more as text: what is wrong is told by its place.
    let query = serde_json::to_vec(&fields).unwrap_or_default();
    Ok(AuditExport { format, query: bounded(&query)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_is_read_strictly_and_may_be_left_out() {
        assert_eq!(or_nothing::<AuditQuery>(b"").unwrap(), AuditQuery::default());
        assert_eq!(export(b"").unwrap(), AuditExport::default());
        assert_eq!(export(br#"{"format":null,"actions":null}"#).unwrap(), AuditExport::default());
        let jsonl = export(br#"{"format":"jsonl","page":2}"#).unwrap();
        assert_eq!((jsonl.format, jsonl.query.page), (Some(ExportFormat::Jsonl), Some(2)));
        for (body, text) in [
            (&br#"{"format":"xlsx"}"#[..], "format is csv or jsonl"),
            (br#"{"action":["secret_read"]}"#, "the body has another shape than this route takes (line 1, column 9)"),
            (br#"{"from":"yesterday"}"#, "the body has another shape than this route takes (line 1, column 19)"),
            (b"[]", "the body has another shape than this route takes (line 1, column 0)"),
            (b"{", "the body is not JSON (line 1, column 1)"),
        ] {
            assert_eq!(export(body).unwrap_err().message, text);
        }
    }

    proptest! {
        #[test]
        fn no_body_does_more_than_be_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let (one, other) = (or_nothing::<AuditQuery>(&body), export(&body));
            for refusal in [one.err(), other.err()].into_iter().flatten() {
                prop_assert_eq!(refusal.kind, RefusalKind::Invalid);
            }
        }

        #[test]
        fn whatever_is_asked_is_read_back_as_it_was_asked(
            actions in prop::option::of(prop::collection::vec("[a-z_]{1,20}", 0..3)),
            search in prop::option::of(any::<String>()),
            times in any::<(Option<i64>, Option<i64>)>(),
            pages in any::<(Option<u32>, Option<u32>)>(),
            rows in any::<(Option<u64>, Option<u64>)>(),
        ) {
            let query = AuditQuery {
                actions,
                search,
                from: times.0,
                to: times.1,
                page: pages.0,
                page_size: pages.1,
                before: rows.0,
                after: rows.1,
                ..AuditQuery::default()
            };
            let body = serde_json::to_vec(&query).unwrap();
            prop_assert_eq!(&or_nothing::<AuditQuery>(&body).unwrap(), &query);
            prop_assert_eq!(export(&body).unwrap(), AuditExport { format: None, query: query.clone() });
            // Asked or refused, but answered.
            drop(crate::usecase::audit::Search::new(&query, None, None));
        }
    }
}
