//! What came of the manifests: objects to apply, and what a person must know.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::plugin::table::printable;
use crate::plugin::{RED, YELLOW, paint};
use crate::yaml;

/// An object to apply.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Converted {
    /// Where it comes from and what to do with it, a line each.
    pub(super) comment: Vec<String>,
    /// The object.
    pub(super) object: Value,
}

/// Why something cannot be converted, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) what: String,
    pub(super) advice: String,
}

impl Obstacle {
    pub(super) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }
}

/// Something a person must know of one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It stays as it is.
    Left { title: String, obstacles: Vec<Obstacle> },
    /// It is converted, and this is not as it was.
    Note { title: String, text: String },
}

/// All that came of it.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) objects: Vec<Converted>,
    pub(super) findings: Vec<Finding>,
    /// How many manifests are converted.
    pub(super) converted: usize,
    /// How many have nothing to do with secrets.
    pub(super) untouched: usize,
}

impl Report {
    pub(super) fn note(&mut self, title: &str, text: impl Into<String>) {
        self.findings.push(Finding::Note { title: title.to_owned(), text: text.into() });
    }

    pub(super) fn left(&mut self, title: &str, obstacles: Vec<Obstacle>) {
        self.findings.push(Finding::Left { title: title.to_owned(), obstacles });
    }

    /// How many manifests stay as they are.
    pub(super) fn left_count(&self) -> usize {
        self.findings.iter().filter(|finding| matches!(finding, Finding::Left { .. })).count()
    }

    /// The objects as documents of YAML, each under where it comes from.
    pub(super) fn yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        let mut text = String::new();
        for Converted { comment, object } in &self.objects {
            text += "---\n";
            for line in comment {
                // Into a String: it cannot fail.
                let _ = writeln!(text, "# {}", printable(line));
            }
            text += &yaml::printed(object)?;
        }
        Ok(text)
    }

    /// The objects as one List.
    pub(super) fn list(&self) -> Value {
        let items: Vec<&Value> = self.objects.iter().map(|converted| &converted.object).collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items})
    }

    /// What a person must know.
    pub(super) fn told(&self, colour: bool) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            match finding {
                // Into a String: it cannot fail.
                Finding::Left { title, obstacles } => {
                    let _ = writeln!(text, "{} {}", paint(colour, RED, "left"), printable(title));
                    for Obstacle { what, advice } in obstacles {
                        let _ = writeln!(text, "     {}.\n     {}", printable(what), printable(advice));
                    }
                }
                Finding::Note { title, text: note } => {
                    let (mark, title) = (paint(colour, YELLOW, "note"), printable(title));
                    let _ = writeln!(text, "{mark} {title}\n     {}", printable(note));
                }
            }
        }
        let _ = writeln!(
            text,
            "{} converted, {} left as they are, {} without secrets of theirs",
            self.converted,
            self.left_count(),
            self.untouched
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_others_breaks_out_of_no_comment() {
        let comment = vec!["from Secret a\nkind: Grant".to_owned()];
        let report =
            Report { objects: vec![Converted { comment, object: json!({"kind": "Secret"}) }], ..Report::default() };
        assert_eq!(report.yaml().unwrap(), "---\n# from Secret a\\nkind: Grant\nkind: Secret\n");
    }
}
