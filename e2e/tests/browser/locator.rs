//! How a test names what a person sees: a button by its words, a field by its label, both in a row of a table; or by CSS.

use std::fmt;

/// Names elements of a page.
#[derive(Clone, Debug)]
pub(crate) struct Locator {
    /// As WebDriver calls the language of `expression`.
    pub(crate) using: &'static str,
    pub(crate) expression: String,
}

/// A CSS selector.
impl From<&str> for Locator {
    fn from(css: &str) -> Self {
        Self { using: "css selector", expression: css.to_owned() }
    }
}

impl From<&Locator> for Locator {
    fn from(locator: &Locator) -> Self {
        locator.clone()
    }
}

/// A button with these words, and no others.
pub(crate) fn button(words: &str) -> Locator {
    let words = quoted(words);
    xpath(format!(
        "//*[self::button or self::summary or @role='button'][normalize-space()={words} or @aria-label={words}]\
         | //input[(@type='submit' or @type='button') and @value={words}]"
    ))
}

/// A link with these words, and no others.
pub(crate) fn link(words: &str) -> Locator {
    let words = quoted(words);
    xpath(format!("//a[normalize-space()={words} or @aria-label={words}]"))
}

/// What is filled in under a label, or chosen.
pub(crate) fn field(label: &str) -> Locator {
    let label = quoted(label);
    let (by_id, around) = (
        format!("@id=//label[normalize-space()={label}]/@for"),
        format!("ancestor::label[normalize-space()={label} or normalize-space(text())={label}]"),
    );
    xpath(format!("//*[self::input or self::select or self::textarea][{by_id} or {around} or @aria-label={label}]"))
}

/// A heading with these words.
pub(crate) fn heading(words: &str) -> Locator {
    let words = quoted(words);
    xpath(format!("//*[self::h1 or self::h2 or self::h3 or self::legend or self::caption][normalize-space()={words}]"))
}

/// The row of a table in which these words stand by themselves.
pub(crate) fn row(words: &str) -> Locator {
    xpath(format!("//tr[.//*[normalize-space()={}]]", quoted(words)))
}

/// The innermost elements in which these words stand, perhaps among others.
pub(crate) fn words(words: &str) -> Locator {
    let words = quoted(words);
    xpath(format!("//body//*[contains(normalize-space(), {words}) and not(*[contains(normalize-space(), {words})])]"))
}

impl Locator {
    /// The same, but only in something else.
    ///
    /// # Panics
    ///
    /// With CSS, which has descendants of its own.
    #[must_use]
    pub(crate) fn inside(self, place: &Self) -> Self {
        assert!(self.using == "xpath" && place.using == "xpath", "{self} inside {place}: write one CSS selector");
        let alternatives = self.expression.split(" | ").map(|it| format!("{}{it}", place.expression));
        xpath(alternatives.collect::<Vec<_>>().join(" | "))
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.using, self.expression)
    }
}

fn xpath(expression: String) -> Locator {
    Locator { using: "xpath", expression }
}

/// XPath 1.0 has no escapes.
fn quoted(text: &str) -> String {
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    let parts: Vec<_> = text.split('\'').map(|it| format!("'{it}'")).collect();
    format!("concat({})", parts.join(", \"'\", "))
}
