//! What stands in the files of the example's pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::PROVIDER_KEY;

/// Each Machine: its namespace, its name, its files.
pub const MACHINES: [(&str, &str, &[&str]); 4] = [
    ("shop", "web", &["app.env", "session-key", "payment-provider"]),
    ("shop", "migrate", &["pgpass"]),
    ("shop", "report", &["db.json", "ledger/token"]),
    ("payments", "ledger", &["token"]),
];

/// What pods read, by Machine and file.
pub type Files = BTreeMap<(&'static str, &'static str), String>;

/// Which files are not as the example has them: each Secret has one value, whoever reads it, in whatever format. Names no value.
pub fn wrong(files: &Files) -> Vec<String> {
    let text = |machine, file| files.get(&(machine, file)).map_or("", String::as_str);
    let env = text("web", "app.env");
    let password = env.split_once("DB_PASSWORD=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |it| it.0);
    let token = text("ledger", "token");
    let database: Value = serde_json::from_str(text("report", "db.json")).unwrap_or_default();
    let is_right = |machine, file| match (machine, file) {
        ("web", "app.env") => {
            password.len() == 40 && env == format!("DB_USERNAME=\"shop\"\nDB_PASSWORD=\"{password}\"\n")
        }
        ("web", "session-key") => text(machine, file).len() == 64,
        ("web", "payment-provider") => text(machine, file) == PROVIDER_KEY,
        ("migrate", "pgpass") => text(machine, file) == format!("postgres.shop.svc:5432:shop:shop:{password}\n"),
        ("report", "db.json") => database == json!({"db": {"username": "shop", "password": password}}),
        // By consent of both teams.
        ("report", "ledger/token") => text(machine, file) == token,
        ("ledger", "token") => token.len() == 48,
        _ => false,
    };
    let all = MACHINES.iter().flat_map(|(_, machine, files)| files.iter().map(|file| (*machine, *file)));
    all.filter(|(machine, file)| !is_right(machine, file)).map(|(machine, file)| format!("{machine}: {file}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right() -> Files {
        let (password, token) = ("p".repeat(40), "t".repeat(48));
        BTreeMap::from([
            (("web", "app.env"), format!("DB_USERNAME=\"shop\"\nDB_PASSWORD=\"{password}\"\n")),
            (("web", "session-key"), "s".repeat(64)),
            (("web", "payment-provider"), PROVIDER_KEY.to_owned()),
            (("migrate", "pgpass"), format!("postgres.shop.svc:5432:shop:shop:{password}\n")),
            (("report", "db.json"), json!({"db": {"username": "shop", "password": password}}).to_string()),
            (("report", "ledger/token"), token.clone()),
            (("ledger", "token"), token),
        ])
    }

    #[test]
    fn each_file_that_is_missing_or_another_is_named() {
        assert_eq!(wrong(&right()), Vec::<String>::new());
        for (machine, file) in right().into_keys() {
            let named = format!("{machine}: {file}");
            let mut without = right();
            without.remove(&(machine, file));
            assert!(wrong(&without).contains(&named), "{named}");
            let mut other = right();
            other.entry((machine, file)).and_modify(|text| text.push('x'));
            assert!(wrong(&other).contains(&named), "{named}");
        }
    }
}
