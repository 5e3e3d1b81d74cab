//! The little of Go's templates that is converted: text around plain fields. Everything else is named and left to a person.

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Text, without what `{{-` and `-}}` take away.
    Text(String),
    /// What stands between `{{` and `}}`, without white space at its ends.
    Action(String),
}

/// A template, taken apart; none where an action does not end. A string literal with `}}` in it gives a broken action, which
/// nobody takes for a field.
pub(super) fn tokens(template: &str) -> Option<Vec<Token>> {
    let (mut tokens, mut rest, mut trims) = (Vec::new(), template, false);
    loop {
        let (before, after) = rest.split_once("{{").map_or((rest, None), |(text, rest)| (text, Some(rest)));
        let before = if trims { before.trim_start() } else { before };
        let opens_trimmed =
            after.and_then(|after| after.strip_prefix('-')).filter(|it| it.starts_with(char::is_whitespace));
        let before = if opens_trimmed.is_some() { before.trim_end() } else { before };
        if !before.is_empty() {
            tokens.push(Token::Text(before.to_owned()));
        }
        let Some(after) = opens_trimmed.or(after) else { return Some(tokens) };
        let (action, next) = after.split_once("}}")?;
        let shorter = action.strip_suffix('-').filter(|it| it.ends_with(char::is_whitespace));
        trims = shorter.is_some();
        tokens.push(Token::Action(shorter.unwrap_or(action).trim().to_owned()));
        rest = next;
    }
}

/// The field that `action` writes of `data`, such as `.Data.data` or nothing: `.Data.data.user`, or `index .Data.data "user"`.
pub(super) fn field<'a>(action: &'a str, data: &str) -> Option<&'a str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(plain);
    if let Some(name) = action.strip_prefix(data).and_then(|rest| rest.strip_prefix('.')).filter(is_name) {
        return Some(name);
    }
    let of = if data.is_empty() { "." } else { data };
    let quoted = action.strip_prefix("index ")?.trim_start().strip_prefix(of)?;
    let name = quoted.strip_prefix(char::is_whitespace)?.trim_start().strip_prefix('"')?.strip_suffix('"')?;
    super::name::is_field(name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_taken_apart_as_go_does_it() {
        let text = |text: &str| Token::Text(text.to_owned());
        let action = |text: &str| Token::Action(text.to_owned());
        assert_eq!(tokens("a {{ .b }}\n"), Some(vec![text("a "), action(".b"), text("\n")]));
        assert_eq!(
            tokens(" a \n{{- .b -}}\n c {{.d}}"),
            Some(vec![text(" a"), action(".b"), text("c "), action(".d")])
        );
        // A minus sign without white space belongs to a number.
        assert_eq!(tokens(" {{-1}}"), Some(vec![text(" "), action("-1")]));
        assert_eq!(tokens(""), Some(vec![]));
        assert_eq!(tokens("{{ .a"), None);
    }

    #[test]
    fn only_a_plain_field_is_one() {
        assert_eq!(field(".user", ""), Some("user"));
        assert_eq!(field(r#"index . "user-name""#, ""), Some("user-name"));
        assert_eq!(field(".Data.data.user", ".Data.data"), Some("user"));
        assert_eq!(field(r#"index .Data.data "a.b""#, ".Data.data"), Some("a.b"));
        for action in
            [".a.b", ".a | b64dec", "toJson .", "", ".", r#"index . "a" "b""#, "printf \"", ".Data.data", "/* x */"]
        {
            assert_eq!(field(action, ""), None, "{action}");
        }
    }
}
