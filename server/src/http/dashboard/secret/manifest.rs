//! The Secret object that stands for a secret, as far as the server knows it: to be edited where it is kept.

use std::fmt::Write as _;

use sikkerkey_protocol::kubernetes::{Charset, FieldContent, Generator, Recipe};

use crate::usecase::management::secret::dossier::{Dossier, Object, ValueFrom};

/// The manifest.
pub(super) fn manifest(it: &Dossier, object: &Object) -> String {
    let mut text = format!(
        "# in cluster {cluster}: kubectl -n {namespace} edit sks/{name}\napiVersion: sikkerkey.com/v1alpha1\nkind: \
         Secret\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n  source:\n",
        cluster = object.cluster,
        namespace = object.key.namespace,
        name = object.key.name,
    );
    source(&mut text, it);
    if let Some(policy) = &it.view.policy {
        push(&mut text, format_args!("  policyRef:\n    name: {policy}\n"));
    }
    let every = object.rotation.as_ref().and_then(|it| it.every_seconds);
    let older_than = object.rotation.as_ref().and_then(|it| it.older_than);
    if every.is_some() || older_than.is_some() {
        text.push_str("  rotation:\n");
    }
    if let Some(seconds) = every {
        push(&mut text, format_args!("    every: {}\n", duration(seconds)));
    }
    if let Some(at) = older_than.and_then(|it| jiff::Timestamp::from_millisecond(it).ok()) {
        push(&mut text, format_args!("    olderThan: \"{}\"\n", at.strftime("%Y-%m-%dT%H:%M:%SZ")));
    }
    text
}

fn source(text: &mut String, it: &Dossier) {
    match &it.value_from {
        ValueFrom::Here => {}
        ValueFrom::Recipe(Recipe::Plain(generator)) => {
            text.push_str("    generate:\n");
            made(text, "      ", generator);
        }
        ValueFrom::Recipe(Recipe::Fields(fields)) => {
            text.push_str("    generate:\n      fields:\n");
            for field in fields {
                push(text, format_args!("        - name: {}\n", field.name));
                match &field.content {
                    FieldContent::Generated(generator) => made(text, "          ", generator),
                    // What is not random stands in the object for whoever may view that, and part of the value here.
                    FieldContent::Literal(_) => text.push_str("          literal: … # stays as it is\n"),
                }
            }
        }
        ValueFrom::Sealed => text.push_str("    sealed: … # from sikkerkey-operator seal\n"),
        ValueFrom::Taken => text.push_str("    kubernetesSecret: … # the core Secret that it is taken over from\n"),
        ValueFrom::External => match &it.view.field_names {
            None => text.push_str("    external: {}\n"),
            Some(names) => {
                text.push_str("    external:\n      fields:\n");
                for name in names {
                    push(text, format_args!("        - {name}\n"));
                }
            }
        },
    }
}

fn made(text: &mut String, indent: &str, generator: &Generator) {
    let charset = match generator.charset {
        Charset::Alphanumeric => "Alphanumeric",
        Charset::Symbols => "Symbols",
        Charset::Numeric => "Numeric",
        Charset::Uuid => "UUID",
    };
    push(text, format_args!("{indent}charset: {charset}\n"));
    if generator.charset != Charset::Uuid {
        push(text, format_args!("{indent}length: {}\n", generator.length));
    }
}

/// In the units that objects take: hours, minutes, seconds.
fn duration(seconds: u64) -> String {
    match seconds {
        it if it.is_multiple_of(3600) => format!("{}h", it / 3600),
        it if it.is_multiple_of(60) => format!("{}m", it / 60),
        it => format!("{it}s"),
    }
}

fn push(text: &mut String, more: std::fmt::Arguments<'_>) {
    // A text takes whatever is written to it.
    let _ = text.write_fmt(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_objects_take_it() {
        for (seconds, text) in [(2_592_000, "720h"), (5400, "90m"), (301, "301s")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
