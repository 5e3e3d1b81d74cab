//! Whether files can fit their volume. Pure.
//!
//! Values are not known here, and may grow. What is known is that a memory volume gives each file whole pages, and what stands
//! in a file whatever the values are. Whoever needs more than that learns it from the pod: `FilesNotWritten`.

use sikkerkey_crds::size::Size;
use sikkerkey_protocol::sync::File;

/// What a file that is not empty takes at least, on every node.
const PAGE: u64 = 4 << 10;

/// Files that fit no volume of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{limit} has no room for the files: whatever the values are, they take {least} at least, as each takes whole pages \
         of 4Ki. Raise it, or write fewer files"
)]
pub struct NoRoom {
    limit: Size,
    least: Size,
}

/// Refuses what cannot fit. Files that are optional need not be there.
pub fn check(files: &[File], limit: Size) -> Result<(), NoRoom> {
    let required = files.iter().filter(|file| !file.optional);
    let pages = |file: &File| u64::try_from(sikkerkey_files::least(file)).unwrap_or_default().div_ceil(PAGE);
    // One page is the sidecar's own.
    let least = required.map(pages).sum::<u64>().saturating_add(1).saturating_mul(PAGE);
    if least <= limit.bytes() {
        return Ok(());
    }
    let least = Size::kibibytes(u32::try_from(least >> 10).unwrap_or(u32::MAX));
    Err(NoRoom { limit, least })
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::sync::{Format, Input, SecretKey};

    use super::*;

    fn files(count: usize, format: Format, optional: bool, template: Option<&str>) -> Vec<File> {
        let secret = SecretKey { namespace: "shop".into(), name: "db".into() };
        let file = |n| File {
            path: format!("f{n}"),
            format,
            mode: 0o444,
            optional,
            inputs: vec![Input { secret: secret.clone(), field: None, alias: None }],
            template: template.map(Into::into),
            pkcs12: None,
        };
        (0..count).map(file).collect()
    }

    fn kibibytes(files: &[File]) -> u32 {
        let fits = |size: &u32| check(files, Size::kibibytes(*size)).is_ok();
        (1..1_024).find(fits).unwrap()
    }

    #[test]
    fn each_file_that_is_not_empty_takes_whole_pages() {
        let long = format!("{}{{{{ db }}}}{}", "x".repeat(4_000), "y".repeat(100));
        for (what, files, least) in [
            ("nothing", files(0, Format::Raw, false, None), 4),
            ("values that may be empty", files(64, Format::Raw, false, None), 4),
            ("names of values", files(10, Format::Json, false, None), 44),
            ("what need not be there", files(10, Format::Json, true, None), 4),
            ("a template without text", files(10, Format::Template, false, Some("{{ db }}")), 4),
            ("text that may be left out", files(10, Format::Template, false, Some("{% if db %}a{% endif %}")), 4),
            ("text", files(10, Format::Template, false, Some("a={{ db }}")), 44),
            ("text of two pages", files(10, Format::Template, false, Some(&long)), 84),
        ] {
            assert_eq!(kibibytes(&files), least, "{what}");
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_with_what_it_needs() {
        let refused = check(&files(16, Format::DotEnv, false, None), Size::kibibytes(64)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "64Ki has no room for the files: whatever the values are, they take 68Ki at least, as each takes whole pages of \
             4Ki. Raise it, or write fewer files"
        );
    }
}
