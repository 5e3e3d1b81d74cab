//! Which pages there are: what links lead to, each kind of page a few times.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Pages of one kind: those of ten thousand machines are one kind.
const OF_A_KIND: usize = 2;
/// Pages in all. There are far fewer kinds: this ends a crawl that goes astray.
const MOST: usize = 300;
/// A page far behind the first one of a list.
const FAR: &str = "200";

/// The pages still to be looked at.
pub(super) struct Crawl {
    waiting: VecDeque<String>,
    known: BTreeSet<String>,
    kinds: BTreeMap<String, usize>,
}

/// What a page has that leads on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// Addresses.
    pub(super) to: Vec<String>,
    /// Whether it has a form that asks while one types.
    pub(super) can_search: bool,
}

impl Crawl {
    /// Begins at an address.
    pub(super) fn from(first: &str) -> Self {
        let waiting = VecDeque::from([first.to_owned()]);
        Self { waiting, known: BTreeSet::from([first.to_owned()]), kinds: BTreeMap::new() }
    }

    /// The next page.
    pub(super) fn next(&mut self) -> Option<String> {
        self.waiting.pop_front()
    }

    /// Takes down where a page leads to. Of a list it takes a page far behind, too, and one that is searched for.
    pub(super) fn found(&mut self, page: &str, links: &Links) {
        for address in &links.to {
            self.add(address);
            if let Some((before, after)) = address.split_once("page=2")
                && (after.is_empty() || after.starts_with('&'))
            {
                self.add(&format!("{before}page={FAR}{after}"));
            }
        }
        if links.can_search && !page.contains('?') {
            self.add(&format!("{page}?q=9"));
        }
    }

    fn add(&mut self, address: &str) {
        if self.known.len() >= MOST || !self.known.insert(address.to_owned()) {
            return;
        }
        let seen = self.kinds.entry(kind(address)).or_default();
        *seen += 1;
        if *seen <= OF_A_KIND {
            self.waiting.push_back(address.to_owned());
        }
    }
}

/// An address without what stands for one of many: ids in the path, and what is asked but for how a list is sorted, and for a
/// page far behind.
fn kind(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let part = |it: &str| {
        if it.contains(|it: char| it.is_ascii_digit()) || it.contains('_') { "{}".to_owned() } else { it.to_owned() }
    };
    let path = path.split('/').map(part).collect::<Vec<_>>().join("/");
    let field = |it: &str| {
        let name = it.split('=').next().unwrap_or_default();
        let is_kept = matches!(name, "sort" | "range") || it == format!("page={FAR}");
        if is_kept { it.to_owned() } else { name.to_owned() }
    };
    let mut fields: Vec<String> = query.split('&').filter(|it| !it.is_empty()).map(field).collect();
    fields.sort();
    format!("{path}?{}", fields.join("&"))
}

/// The links of a page to other pages of this server: not to files.
pub(super) fn links(page: &str) -> Links {
    let mut to = Vec::new();
    for link in page.split("<a ").skip(1) {
        let tag = link.split('>').next().unwrap_or_default();
        let address = tag.split("href=\"").nth(1).and_then(|it| it.split('"').next()).unwrap_or_default();
        let address = address.split('#').next().unwrap_or_default().replace("&amp;", "&");
        let is_file = tag.split_whitespace().any(|it| it == "download" || it.starts_with("download="));
        if address.starts_with('/') && !is_file && address != "/" {
            to.push(address);
        }
    }
    Links { to, can_search: page.contains("data-filter=\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_those_to_pages_of_this_server() {
        let page = r##"<a class="skip" href="#main">x</a><link href="/assets/a.css"><a href="/vaults/v/machines?q=a&amp;page=2">
            <a href="https://example.com/"> <a download href="/vaults/v/audit/rows.csv"> <a href="/account#sessions" rel="x">"##;
        let to = vec!["/vaults/v/machines?q=a&page=2".to_owned(), "/account".into()];
        assert_eq!(links(page), Links { to, can_search: false });
        assert!(links("<form data-filter=\"list\">").can_search);
    }

    #[test]
    fn of_many_pages_of_a_kind_a_few_are_looked_at() {
        let mut crawl = Crawl::from("/vaults");
        let to = |it: &[&str]| Links { to: it.iter().map(|it| (*it).to_owned()).collect(), can_search: false };
        let many: Vec<_> = (0..50).map(|it| format!("/vaults/vault_b/machines/0000-{it}")).collect();
        crawl.found("/vaults", &to(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        crawl.found("/vaults", &to(&["/vaults/vault_b/machines?page=2", "/vaults/vault_b/machines?sort=name"]));
        let searched = Links { can_search: true, ..Links::default() };
        crawl.found("/vaults/vault_b/machines", &searched);
        crawl.found("/vaults/vault_b/machines?sort=name", &searched);
        let pages: Vec<_> = std::iter::from_fn(|| crawl.next()).collect();
        assert_eq!(
            pages,
            [
                "/vaults",
                "/vaults/vault_b/machines/0000-0",
                "/vaults/vault_b/machines/0000-1",
                "/vaults/vault_b/machines?page=2",
                "/vaults/vault_b/machines?page=200",
                "/vaults/vault_b/machines?sort=name",
                "/vaults/vault_b/machines?q=9",
            ]
        );
    }

    #[test]
    fn a_kind_is_an_address_without_what_stands_for_one_of_many() {
        assert_eq!(
            kind("/vaults/vault_b/machines/ab12?sort=-name&page=3&q=x"),
            "/vaults/{}/machines/{}?page&q&sort=-name"
        );
        assert_ne!(kind("/v/machines?page=200"), kind("/v/machines?page=3"));
        assert_ne!(kind("/v/audit/reads?range=day"), kind("/v/audit/reads?range=week"));
    }
}
