//! People: accounts by address, sessions by token, roles in vaults.

use sikkerkey_protocol::account::Role;
use sikkerkey_protocol::id::VaultId;

use super::State;
use crate::model::account::Account;
use crate::model::member::Member;
use crate::model::session::Session;

impl State {
    /// The account of an e-mail address, however it is capitalised. There are few accounts.
    pub fn account_named(&self, email: &str) -> Option<&Account> {
        // The very same text first: accounts of earlier releases may differ in capitals alone.
        let same = |it: &&Account| it.email == email;
        let alike = |it: &&Account| it.email.to_lowercase() == email.to_lowercase();
        self.accounts.values().find(same).or_else(|| {
            let mut accounts = self.accounts.values().filter(alike);
            accounts.next().filter(|_| accounts.next().is_none())
        })
    }

    /// The session of a token with this hash.
    pub fn session_with_hash(&self, hash: &str) -> Option<&Session> {
        self.sessions.get(self.session_of_hash.get(hash)?)
    }

    /// The sessions of an account, those that have ended included until they are forgotten.
    pub fn sessions_of(&self, account: &str) -> impl Iterator<Item = &Session> {
        self.sessions_of_account.get(account).into_iter().flatten().filter_map(|id| self.sessions.get(id))
    }

    /// What an account may do in a vault.
    pub fn role_in(&self, vault: &VaultId, account: &str) -> Option<Role> {
        if self.vaults.get(vault)?.account == account {
            return Some(Role::Owner);
        }
        self.vault_members.get(&Member::id(vault, account)).map(|it| it.role)
    }

    pub(super) fn put_session(&mut self, it: Session) {
        self.session_of_hash.insert(it.hash.clone(), it.id.clone());
        self.sessions_of_account.entry(it.account.clone()).or_default().insert(it.id.clone());
        self.sessions.insert(it.id.clone(), it);
    }

    pub(super) fn remove_session(&mut self, id: &str) {
        let Some(gone) = self.sessions.remove(id) else { return };
        super::remove_if(&mut self.session_of_hash, &gone.hash, |it| it == id);
        super::forget_member(&mut self.sessions_of_account, &gone.account, &gone.id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::account::{Account, Standing, Vault};
    use crate::model::millis::Millis;
    use crate::model::{Change, Entity, EntityKey, EntityKind};

    fn account(id: &str, email: &str) -> Account {
        Account { id: id.into(), email: email.into(), standing: Standing::Active }
    }

    #[test]
    fn an_account_is_found_however_it_is_capitalised_unless_two_are_alike() {
        let mut state = State::default();
        for (id, email) in [("1", "Jane@example.com"), ("2", "TEAM@example.com"), ("3", "team@example.com")] {
            state.apply(Change::put(Entity::Account(account(id, email))));
        }
        let found = |email: &str| state.account_named(email).map(|it| it.id.clone());
        assert_eq!(found("jane@EXAMPLE.com"), Some("1".into()));
        assert_eq!(found("team@example.com"), Some("3".into()));
        assert_eq!(found("Team@example.com"), None);
        assert_eq!(found("john@example.com"), None);
    }

    #[test]
    fn whom_a_vault_belongs_to_is_its_owner_and_others_are_what_they_were_made() {
        let mut state = State::default();
        let vault: VaultId = "vault_v".parse().unwrap();
        state.apply(Change::put(Entity::Vault(Vault { id: vault.clone(), account: "1".into(), name: "v".into() })));
        let member = Member { vault: vault.clone(), account: "2".into(), role: Role::Auditor, since: Millis(0) };
        state.apply(Change::put(Entity::Member(member)));
        assert_eq!(state.role_in(&vault, "1"), Some(Role::Owner));
        assert_eq!(state.role_in(&vault, "2"), Some(Role::Auditor));
        assert_eq!(state.role_in(&vault, "3"), None);
        assert_eq!(state.role_in(&"vault_w".parse().unwrap(), "1"), None);
    }

    fn change() -> impl Strategy<Value = Change> {
        let session = |n: u8, hash: u8, account: u8| Session {
            id: format!("s{n}"),
            hash: format!("h{hash}"),
            account: format!("a{account}"),
            since: Millis(0),
            proven_at: Millis(0),
            used_at: Millis(0),
            address: [192, 0, 2, 1].into(),
            user_agent: String::new(),
            second_factor: false,
        };
        prop_oneof![
            // A hash is of one session alone: session n has hash n or n + 4.
            (0u8..4, any::<bool>(), 0u8..2).prop_map(move |(n, other, account)| {
                Change::put(Entity::Session(session(n, if other { n + 4 } else { n }, account)))
            }),
            (0u8..4).prop_map(|n| Change::Remove(EntityKey { kind: EntityKind::Session, id: format!("s{n}") })),
        ]
    }

    fn seen(state: &State) -> String {
        let by_hash: Vec<_> = (0..8).map(|n| state.session_with_hash(&format!("h{n}"))).collect();
        let of: Vec<Vec<_>> = (0..2).map(|n| state.sessions_of(&format!("a{n}")).collect()).collect();
        format!("{by_hash:?} {of:?}")
    }

    proptest! {
        #[test]
        fn indexes_agree_and_what_is_taken_back_leaves_no_trace(
            before in prop::collection::vec(change(), 0..20),
            group in prop::collection::vec(change(), 0..20),
        ) {
            let mut state = State::default();
            for change in before {
                state.apply(change);
            }
            for n in 0..8 {
                let hash = format!("h{n}");
                let scanned = state.sessions.values().find(|it| it.hash == hash);
                prop_assert_eq!(state.session_with_hash(&hash), scanned);
            }
            for n in 0..2 {
                let account = format!("a{n}");
                let scanned = state.sessions.values().filter(|it| it.account == account).count();
                prop_assert_eq!(state.sessions_of(&account).count(), scanned);
            }
            let was = seen(&state);
            let undo: Vec<_> = group.into_iter().map(|change| state.apply_with_undo(change)).collect();
            for step in undo.into_iter().rev() {
                state.undo(step);
            }
            prop_assert_eq!(seen(&state), was);
        }
    }
}
