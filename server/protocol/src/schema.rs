//! JSON schemas of what travels as text, where the type alone does not say it.

/// The schema of a type whose JSON form is a text. An empty pattern says nothing.
macro_rules! text {
    ($type:ident, $description:expr, $pattern:expr) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut schema = schemars::json_schema!({ "type": "string", "description": $description });
                if !str::is_empty($pattern) {
                    schema.insert("pattern".to_owned(), $pattern.into());
                }
                schema
            }
        }
    };
}

pub(crate) use text;
