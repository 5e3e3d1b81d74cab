//! Whoever looks at a page, and where.

use std::sync::Arc;

use sikkerkey_protocol::account::{Role, VaultOf};
use sikkerkey_protocol::id::VaultId;
use sikkerkey_protocol::management::Scope;

use super::said;
use super::theme::Theme;
use crate::app::App;
use crate::http::account::session::SignedIn;
use crate::model::millis::Millis;
use crate::model::session::Session;
use crate::tls::Authority;
use crate::usecase::account::session;
use crate::usecase::management::scopes_of;

/// Whoever looks at a page, and where. A view takes from it what does not belong to its answer.
pub(super) struct Visit {
    /// The account's e-mail address.
    pub email: String,
    /// The vaults in which the account has a role.
    pub vaults: Vec<VaultOf>,
    /// The vault that the page belongs to.
    pub vault: Option<Here>,
    /// The path of the page.
    pub path: String,
    /// What was done just before.
    pub said: Option<&'static str>,
    /// Light or dark.
    pub theme: Theme,
    /// When the session ends unless it is used.
    pub session_ends: Option<Millis>,
    /// The server's time.
    pub now: Millis,
    /// The authority that hosts need to be told of in order to trust the server.
    pub authority: Option<Arc<Authority>>,
}

/// The vault that a page belongs to.
pub(super) struct Here {
    /// Its id.
    pub id: VaultId,
    /// Its name.
    pub name: String,
    /// What the person may do there.
    pub role: Role,
    /// How many machines wait for approval.
    pub waiting: usize,
}

impl Visit {
    /// Of a person who has logged in.
    pub(super) fn of(app: &App, person: &SignedIn, vault: Option<&VaultId>, asked: &Asked) -> Self {
        let world = app.live.read();
        let state = &world.state;
        let vaults = session::vaults_of(state, person.account());
        let vault = vault.and_then(|id| vaults.iter().find(|it| it.vault_id == *id)).map(|it| Here {
            id: it.vault_id.clone(),
            name: it.name.clone(),
            role: it.role,
            waiting: state.waiting_in(&it.vault_id),
        });
        Self {
            email: person.account().email.clone(),
            vaults,
            vault,
            path: asked.path.clone(),
            said: asked.said,
            theme: asked.theme,
            session_ends: state.sessions.get(person.session()).map(Session::ends_at),
            now: app.clock.now(),
            authority: app.authority.clone(),
        }
    }

    /// Whether the person's role may do what takes this scope: what it may not is not offered.
    pub(super) fn may(&self, scope: Scope) -> bool {
        self.vault.as_ref().is_some_and(|it| scopes_of(it.role).contains(&scope))
    }

    /// The address of a page of this vault: `machines`, `machines/new`.
    pub(super) fn href(&self, rest: &str) -> String {
        match &self.vault {
            Some(vault) => format!("/vaults/{}/{rest}", vault.id),
            None => "/vaults".to_owned(),
        }
    }
}

/// What a request says beside whose it is.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Its path.
    pub path: String,
    /// Its path and query without what was done just before.
    pub page: String,
    /// What was done just before.
    pub said: Option<&'static str>,
    /// Light or dark.
    pub theme: Theme,
    /// Whether an open page asks by itself.
    pub by_itself: bool,
}

impl Asked {
    /// Reads a request.
    pub(super) fn of(parts: &axum::http::request::Parts) -> Self {
        let path = parts.uri.path().to_owned();
        let mut said = None;
        let mut page = path.clone();
        for field in parts.uri.query().into_iter().flat_map(|it| it.split('&')).filter(|it| !it.is_empty()) {
            if let Some(code) = field.strip_prefix("said=") {
                said = said::text(code);
                continue;
            }
            page.push(if page.len() == path.len() { '?' } else { '&' });
            page.push_str(field);
        }
        let theme = Theme::of(&parts.headers);
        let by_itself = parts.headers.contains_key(crate::http::account::session::BY_ITSELF);
        Self { path, page, said, theme, by_itself }
    }
}
