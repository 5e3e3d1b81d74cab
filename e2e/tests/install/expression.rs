//! As much of `PromQL` as the alerts and the dashboard have: which series an expression asks for.

/// What an expression asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
    /// By which labels it is grouped.
    pub(crate) by: Vec<String>,
}

/// One condition of a selector.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

const FUNCTIONS: [&str; 9] =
    ["abs", "absent", "histogram_quantile", "increase", "max", "min_over_time", "rate", "sum", "time"];
const WORDS: [&str; 3] = ["and", "or", "unless"];

/// The selectors of an expression. What is not known here fails, so that nothing is passed over.
pub(crate) fn selectors(text: &str) -> Vec<Selector> {
    let mut rest = text.trim_start();
    let (mut found, mut by, mut open) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(next) = rest.chars().next() {
        if next.is_ascii_alphabetic() || next == '_' {
            let word = word(&mut rest);
            if word == "by" {
                by = list(inside(&mut rest, '(', ')', text));
            } else if rest.starts_with('(') || rest.starts_with("by ") {
                let is_known = FUNCTIONS.contains(&word) || WORDS.contains(&word);
                assert!(is_known, "{text}: {word} is no function that is known here");
            } else if !WORDS.contains(&word) {
                let matchers =
                    if rest.starts_with('{') { matchers(inside(&mut rest, '{', '}', text)) } else { Vec::new() };
                if rest.starts_with('[') {
                    let range = inside(&mut rest, '[', ']', text);
                    assert!(
                        range.ends_with(['s', 'm', 'h']) && range.starts_with(|it: char| it.is_ascii_digit()),
                        "{text}"
                    );
                }
                found.push(Selector { name: word.to_owned(), matchers, by: by.clone() });
            }
        } else if next.is_ascii_digit() {
            let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
            rest = &rest[end..];
        } else {
            match next {
                '(' => open.push(next),
                ')' => assert!(open.pop().is_some(), "{text}: a ) too many"),
                ',' | '>' | '<' | '=' | '*' | '-' | '+' | '/' => {}
                other => panic!("{text}: {other} is not known here"),
            }
            rest = &rest[1..];
        }
        rest = rest.trim_start();
    }
    assert!(open.is_empty(), "{text}: a ) is missing");
    found
}

fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after.trim_start();
    word
}

fn inside<'a>(rest: &mut &'a str, open: char, close: char, text: &str) -> &'a str {
    let within = rest.strip_prefix(open).unwrap_or_else(|| panic!("{text}: {open} is missing before {rest}"));
    let (within, after) = within.split_once(close).unwrap_or_else(|| panic!("{text}: {close} is missing"));
    *rest = after.trim_start();
    within
}

fn list(within: &str) -> Vec<String> {
    within.split(',').map(|item| item.trim().to_owned()).collect()
}

fn matchers(within: &str) -> Vec<Matcher> {
    let mut rest = within.trim();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let label = word(&mut rest).to_owned();
        let (operator, after) =
            rest.split_once('"').unwrap_or_else(|| panic!("{within}: a value in quotes is missing"));
        assert!(["=", "!=", "=~", "!~"].contains(&operator), "{within}: {operator} is no operator");
        let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("{within}: a quote is missing"));
        all.push(Matcher { label, operator: operator.to_owned(), value: value.to_owned() });
        rest = after.trim_start_matches([',', ' ']);
    }
    all
}

#[test]
fn an_expression_is_taken_apart() {
    let found =
        selectors(r#"histogram_quantile(0.99, sum by (le, a) (rate(x_bucket{r=~"A|B", s!="c"}[10m]))) > 0.25 and y"#);
    let matcher = |label: &str, operator: &str, value: &str| Matcher {
        label: label.into(),
        operator: operator.into(),
        value: value.into(),
    };
    let by = vec!["le".to_owned(), "a".to_owned()];
    assert_eq!(
        found,
        [
            Selector {
                name: "x_bucket".into(),
                matchers: vec![matcher("r", "=~", "A|B"), matcher("s", "!=", "c")],
                by: by.clone(),
            },
            Selector { name: "y".into(), matchers: Vec::new(), by },
        ]
    );
}

#[test]
#[should_panic(expected = "a ) is missing")]
fn a_bracket_that_is_missing_is_found() {
    selectors("sum(rate(x[5m])");
}
