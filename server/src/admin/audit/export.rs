//! Writing rows to a file.

use std::path::Path;

use serde_json::json;

use super::super::Answer;
use super::super::execute::Desk;
use super::{Bound, failed};
use crate::usecase::archive;

pub(in crate::admin) async fn export(
    desk: Desk<'_>,
    from: Option<Bound>,
    to: Option<Bound>,
    out: &Path,
) -> Result<Answer, String> {
    let app = desk.app;
    let known = archive::known(app).await.map_err(|error| failed(&error))?;
    let first = match from {
        None => known.base.seq + 1,
        Some(Bound::Row(seq)) => seq,
        Some(Bound::Time(at)) => archive::first_at(app, &known, at).await.map_err(|error| failed(&error))?,
    };
    let last = match to {
        None => known.head.seq,
        Some(Bound::Row(seq)) => seq,
        Some(Bound::Time(at)) => archive::first_at(app, &known, at).await.map_err(|error| failed(&error))? - 1,
    };
    if first <= known.base.seq {
        return Err(format!("row {first} is not in the database: its first is {}", known.base.seq + 1));
    }
    if last > known.head.seq {
        return Err(format!("there is no row {last}: the last is {}", known.head.seq));
    }
    if first > last {
        return Err(
            "there is no row in that range: --from lies behind --to, or nothing happened between them".to_owned()
        );
    }
    let written = archive::write(app, &known, first, last, out).await;
    let statement = written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => format!("{} is there already: give a new file", out.display()),
        _ => format!("cannot write the export {}: {error}", out.display()),
    })?;
    let text = format!("rows {first} to {last} are in {}: check it with verify-audit --from-export", out.display());
    let json = json!({ "file": out, "first": first, "last": last, "rows": statement.rows, "sha256": statement.sha256 });
    Ok(Answer::new(json, text))
}
