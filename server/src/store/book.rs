//! What keeps rows honest: MACs, the digest over them, the head. And the rows of one group, ready to be sent.
//!
//! Nothing here talks to a database: both kinds of it are written and read by the same book.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use sikkerkey_protocol::id::SecretId;

use super::delta::{Delta, EntityRow, VersionRow};
use super::head::Head;
use super::macs::Macs;
use super::{ChainHead, Rows, StoreError, base};
use crate::crypto::keyring::Keyring;
use crate::model::spend::{LIFE_SECONDS, Spend};
use crate::model::version::Version;
use crate::model::{Entity, EntityKey, EntityKind};

/// How long a row of the log is kept, in milliseconds. A server that was away for longer reads everything anew.
const LOG_LIFE: i64 = 10 * 60_000;
/// How long counts of reads are kept, in hours.
const READS_LIFE: i64 = 3 * 366 * 24;
const HOUR: i64 = 3_600_000;

/// What this server knows of the rows in the database.
pub(super) struct Book {
    keyring: Arc<Keyring>,
    head: Head,
    /// The highest number that was ever tried. A head's number is never used twice, also when its group fails: the mask
    /// of the digest depends on it.
    tried: u64,
    macs: Macs,
    /// Whether other servers have to learn what is written.
    is_shared: bool,
}

/// The rows of one group in JSON, as the statements take them.
pub(super) struct Page {
    pub(super) tallies: String,
    pub(super) delivered: String,
    pub(super) activity: String,
    pub(super) audit: String,
    pub(super) reads: String,
    pub(super) head: String,
    pub(super) log: Option<LogRow>,
    /// In their order.
    pub(super) rare: Vec<(Rarely, Argument)>,
    next: Head,
    macs: Vec<(EntityKey, Option<[u8; 32]>)>,
}

/// What few groups do. Each is a statement of each kind of database, with one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rarely {
    PutEntities,
    RemoveEntities,
    RemoveVersions,
    PutVersions,
    /// Single ones that are kept no longer. After [`Rarely::PutVersions`]: a group may make one and forget it.
    ForgetVersions,
    RemoveTallies,
    RemoveDelivered,
    RemoveLastSeen,
    PutLastSeen,
    /// The master key, wrapped by another root key.
    PutMaster,
    /// The last row of the audit that is counted in all tallies.
    PutCounted,
    /// The new base of the audit. Before [`Rarely::DropAudit`]: the table gives up only what lies below its base.
    PutAuditBase,
    DropAudit,
    /// Nonces that expire at or before this second.
    ForgetNonces,
    /// Rows of the log from before this instant.
    ForgetLog,
    /// Counts of reads of before this hour.
    ForgetReads,
}

/// The parameter of a [`Rarely`].
pub(super) enum Argument {
    Text(String),
    Integer(i64),
}

/// A [`Delta`] for the log.
pub(super) struct LogRow {
    pub(super) seq: i64,
    pub(super) prev: i64,
    pub(super) time: i64,
    pub(super) body: String,
    pub(super) mac: String,
}

impl Book {
    pub(super) fn new(keyring: Arc<Keyring>, is_shared: bool) -> Self {
        Self { keyring, head: Head::default(), tried: 0, macs: Macs::default(), is_shared }
    }

    pub(super) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring)
    }

    /// The end of the audit.
    pub(super) fn audit_head(&self) -> ChainHead {
        self.head.audit
    }

    /// Timestamps at or below it are refused.
    pub(super) fn nonce_floor(&self) -> i64 {
        self.head.nonce_floor
    }

    /// The number of the last group.
    pub(super) fn seq(&self) -> u64 {
        self.head.seq
    }

    /// Leaves numbers out, because others may have used them.
    pub(super) fn skip(&mut self, numbers: u64) {
        self.tried = self.tried.max(self.head.seq).saturating_add(numbers);
    }

    /// A head as it is before the first group.
    pub(super) fn first_head(keyring: &Keyring) -> Result<String, StoreError> {
        Head::default().encode(keyring.rows()).map_err(StoreError::Encode)
    }

    /// Reads a head that stands in the database.
    pub(super) fn read_head(&self, text: &str) -> Result<Head, StoreError> {
        Head::decode(self.keyring.rows(), text).ok_or_else(|| StoreError::Tampered("the head".to_owned()))
    }

    /// Begins with what stands in the database: every entity's MAC, and the head they must agree with.
    pub(super) fn open(&mut self, head: Head, macs: Macs) -> Result<(), StoreError> {
        let mut left = head;
        for mac in macs.all() {
            left.toggle(self.keyring.rows(), mac);
        }
        if left.digest != [0; 32] {
            return Err(StoreError::Tampered("a row that was removed or put back as it was before".to_owned()));
        }
        self.macs = macs;
        self.head = head;
        self.tried = self.tried.max(head.seq);
        Ok(())
    }

    /// Opens an entity as it stands in the database.
    pub(super) fn entity(
        &self,
        kind: &str,
        id: &str,
        doc: &str,
        seq: i64,
        mac: &[u8],
    ) -> Result<(Entity, [u8; 32]), StoreError> {
        let tampered = || StoreError::Tampered(format!("the {kind} {id}"));
        if !self.keyring.rows().verifies(&entity_parts(kind, id, doc, &seq.to_be_bytes()), mac) {
            return Err(tampered());
        }
        // A server wrote it, and not this release.
        let entity: Entity = serde_json::from_str(doc).map_err(|_| StoreError::NewerSchema)?;
        let key = entity.key();
        if kind_name(key.kind) != kind || key.id != id {
            return Err(tampered());
        }
        Ok((entity, mac.try_into().map_err(|_| tampered())?))
    }

    /// The rows of one group, at `time`.
    pub(super) fn prepare(&mut self, rows: Rows, time: i64) -> Result<Page, StoreError> {
        let prev = self.head.seq;
        let mut next = self.head;
        self.tried = self.tried.max(next.seq) + 1;
        next.seq = self.tried;
        let seq = i64::try_from(next.seq).unwrap_or(i64::MAX);
        let mut macs = Vec::with_capacity(rows.entities.len());
        let (mut entities, mut removed) = (Vec::new(), Vec::new());
        for (key, entity) in &rows.entities {
            let mac = self.change(&mut next, key, entity.as_ref(), seq, (&mut entities, &mut removed))?;
            macs.push((key.clone(), mac));
        }
        // A secret that is made and removed in one group leaves nothing.
        let is_gone =
            |it: &&Version| removed.iter().any(|key| key.kind == EntityKind::Secret && key.id == it.secret.as_str());
        let versions = rows.versions.iter().filter(|it| !is_gone(it)).map(version_row);
        let versions: Vec<_> = versions.collect::<Result<_, _>>()?;
        if let Some(last) = rows.audit.last() {
            next.audit = ChainHead { seq: last.seq, hash: last.hash };
        }
        if let Some(floor) = rows.nonce_floor {
            next.nonce_floor = next.nonce_floor.max(floor);
        }
        let purge = rows.nonce_floor.map(|_| next.nonce_floor.saturating_add(LIFE_SECONDS));
        let dirty = &rows.dirty;
        let tallies = dirty.tallies.iter().chain(&rows.late.rows).filter_map(|((secret, reader), tally)| {
            Some((secret, reader.to_string(), serde_json::to_string(tally.as_ref()?).ok()?))
        });
        let delivered = dirty.delivered.iter();
        let delivered =
            delivered.filter_map(|((machine, secret), version)| Some((machine, secret, version.as_ref()?.stored())));
        let activity = dirty.activity.iter();
        let activity = activity.map(|(key, it)| (key.minute, key.kind.as_str(), it.count, &it.first, &it.last));
        let audit = rows.audit.iter().map(|row| (row.seq, row.time, &row.entry, hex(&row.hash)));
        let tallies_gone = dirty.tallies.iter().filter(|(_, it)| it.is_none());
        let tallies_gone = tallies_gone.map(|((secret, reader), _)| (secret, reader.to_string()));
        let delivered_gone = dirty.delivered.iter().filter(|(_, it)| it.is_none());
        let removed_pairs: Vec<_> = removed.iter().map(|key: &EntityKey| (kind_name(key.kind), &key.id)).collect();
        let removed_of = |kind| removed.iter().filter(move |key: &&EntityKey| key.kind == kind).map(|key| &key.id);
        let seen = rows.last_seen.iter().map(|(machine, it)| (machine, it.at, it.address));
        let texts = [
            (Rarely::PutEntities, some_json(&entities)?),
            (Rarely::RemoveEntities, some_json(&removed_pairs)?),
            (Rarely::RemoveVersions, some_json(&removed_of(EntityKind::Secret).collect::<Vec<_>>())?),
            (Rarely::PutVersions, some_json(&versions)?),
            (Rarely::ForgetVersions, some_json(&rows.forgotten)?),
            (Rarely::RemoveTallies, some_json(&tallies_gone.collect::<Vec<_>>())?),
            (Rarely::RemoveDelivered, some_json(&delivered_gone.map(|(key, _)| key).collect::<Vec<_>>())?),
            (Rarely::RemoveLastSeen, some_json(&removed_of(EntityKind::Machine).collect::<Vec<_>>())?),
            (Rarely::PutLastSeen, some_json(&seen.collect::<Vec<_>>())?),
            (Rarely::PutMaster, rows.master.map(|it| it.encode()).transpose().map_err(StoreError::Encode)?),
            (Rarely::PutCounted, rows.late.counted.map(|it| it.to_string())),
            (Rarely::PutAuditBase, rows.audit_base.map(|it| self.audit_base(it)).transpose()?),
        ];
        let audit_base = rows.audit_base.map(|it| i64::try_from(it.seq).unwrap_or_default());
        let integers = [
            (Rarely::DropAudit, audit_base),
            (Rarely::ForgetNonces, purge),
            (Rarely::ForgetLog, purge.filter(|_| self.is_shared).map(|_| time - LOG_LIFE)),
            (Rarely::ForgetReads, purge.map(|_| time.div_euclid(HOUR) - READS_LIFE)),
        ];
        let texts = texts.into_iter().filter_map(|(what, text)| Some((what, Argument::Text(text?))));
        let integers = integers.into_iter().filter_map(|(what, number)| Some((what, Argument::Integer(number?))));
        let rare = texts.chain(integers).collect();
        let mut page = Page {
            tallies: json(&tallies.collect::<Vec<_>>())?,
            delivered: json(&delivered.collect::<Vec<_>>())?,
            activity: json(&activity.collect::<Vec<_>>())?,
            audit: json(&audit.collect::<Vec<_>>())?,
            reads: json(&rows.reads)?,
            head: next.encode(self.keyring.rows()).map_err(StoreError::Encode)?,
            log: None,
            rare,
            next,
            macs,
        };
        if self.is_shared {
            let mut delta = Delta::new(entities, removed, versions, &rows.dirty, &rows.last_seen);
            delta.after = Some(hex(&self.head.audit.hash));
            page.log = Some(self.log_row(&delta, prev, seq, time)?);
        }
        Ok(page)
    }

    /// The rows of this page are committed.
    pub(super) fn settle(&mut self, page: Page) {
        self.head = page.next;
        for (key, mac) in page.macs {
            self.macs.set(&key, mac);
        }
    }

    /// Opens a row of the log.
    pub(super) fn delta(&self, seq: i64, prev: i64, body: &str, mac: &[u8]) -> Result<Delta, StoreError> {
        let tampered = || StoreError::Tampered(format!("row {seq} of the log"));
        if !self.keyring.rows().verifies(&log_parts(&seq.to_be_bytes(), &prev.to_be_bytes(), body), mac) {
            return Err(tampered());
        }
        serde_json::from_str(body).map_err(|_| StoreError::NewerSchema)
    }

    /// Takes over what other servers wrote, which must lead to `head`.
    pub(super) fn absorb(&mut self, head: Head, deltas: &[Delta]) -> Result<(), StoreError> {
        let key = self.keyring.rows();
        let mut digest = self.head;
        let mut macs: HashMap<EntityKey, Option<[u8; 32]>> = HashMap::new();
        for delta in deltas {
            let put = delta.entities.iter().map(|row| {
                let mac = unhex(&row.4).unwrap_or_default();
                let (entity, mac) = self.entity(&row.0, &row.1, &row.2, row.3, &mac)?;
                Ok::<_, StoreError>((entity.key(), Some(mac)))
            });
            let steps = delta.removed.iter().map(|key| Ok((key.clone(), None))).chain(put);
            for step in steps {
                let (id, new) = step?;
                let old = macs.get(&id).copied().unwrap_or_else(|| self.macs.get(&id).copied());
                old.iter().chain(new.iter()).for_each(|mac| digest.toggle(key, mac));
                macs.insert(id, new);
            }
        }
        if digest.digest != head.digest {
            return Err(StoreError::Tampered("what another server wrote, or a row beside it,".to_owned()));
        }
        for (id, mac) in macs {
            self.macs.set(&id, mac);
        }
        self.head = head;
        self.tried = self.tried.max(head.seq);
        Ok(())
    }

    /// Whether this head, of the last group, is the one that was seen.
    pub(super) fn is_at(&self, head: &Head) -> bool {
        self.head == *head
    }

    /// Whether a group that follows the last one has the same past.
    pub(super) fn is_followed_by(&self, delta: &Delta) -> bool {
        delta.after.as_ref().is_none_or(|it| *it == hex(&self.head.audit.hash))
    }

    fn change(
        &self,
        next: &mut Head,
        id: &EntityKey,
        entity: Option<&Entity>,
        seq: i64,
        (entities, removed): (&mut Vec<EntityRow>, &mut Vec<EntityKey>),
    ) -> Result<Option<[u8; 32]>, StoreError> {
        let key = self.keyring.rows();
        if let Some(old) = self.macs.get(id) {
            next.toggle(key, old);
        }
        let Some(entity) = entity else {
            removed.push(id.clone());
            return Ok(None);
        };
        let kind = kind_name(id.kind);
        let doc = json(entity)?;
        let mac = key.mac(&entity_parts(&kind, &id.id, &doc, &seq.to_be_bytes()));
        next.toggle(key, &mac);
        entities.push(EntityRow(kind, id.id.clone(), doc, seq, hex(&mac)));
        Ok(Some(mac))
    }

    fn audit_base(&self, it: ChainHead) -> Result<String, StoreError> {
        base::encode(self.keyring.rows(), it).map_err(StoreError::Encode)
    }

    fn log_row(&self, delta: &Delta, prev: u64, seq: i64, time: i64) -> Result<LogRow, StoreError> {
        let prev = i64::try_from(prev).unwrap_or(i64::MAX);
        let body = json(delta)?;
        let mac = self.keyring.rows().mac(&log_parts(&seq.to_be_bytes(), &prev.to_be_bytes(), &body));
        Ok(LogRow { seq, prev, time, body, mac: hex(&mac) })
    }
}

/// Nonces to be burnt.
pub(super) fn nonces(spends: &[Spend]) -> Result<String, StoreError> {
    let rows = spends.iter().map(|it| (it.timestamp.saturating_add(LIFE_SECONDS), &it.signer, &it.nonce));
    json(&rows.collect::<Vec<_>>())
}

fn entity_parts<'a>(kind: &'a str, id: &'a str, doc: &'a str, seq: &'a [u8]) -> [&'a [u8]; 5] {
    [b"entity", kind.as_bytes(), id.as_bytes(), seq, doc.as_bytes()]
}

fn log_parts<'a>(seq: &'a [u8], prev: &'a [u8], body: &'a str) -> [&'a [u8]; 4] {
    [b"log", seq, prev, body.as_bytes()]
}

/// The name of a kind in the database.
fn kind_name(kind: EntityKind) -> String {
    format!("{kind:?}")
}

fn version_row(version: &Version) -> Result<VersionRow, StoreError> {
    let secret: &SecretId = &version.secret;
    Ok(VersionRow(
        secret.to_string(),
        i64::try_from(version.version).unwrap_or(i64::MAX),
        version.vault.to_string(),
        version.project.to_string(),
        version.time,
        json(&version.field_names)?,
        hex(&version.sealed.wrapped_key),
        hex(&version.sealed.ciphertext),
    ))
}

fn json(rows: &(impl Serialize + ?Sized)) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(StoreError::Encode)
}

fn some_json<T: Serialize>(rows: &[T]) -> Result<Option<String>, StoreError> {
    if rows.is_empty() { Ok(None) } else { json(rows).map(Some) }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')));
        }
    }
    text
}

/// Reads [`hex`] back.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.is_ascii().then(|| text.as_bytes().chunks_exact(2))?;
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::crypto::master::Master;

    #[test]
    fn what_a_newer_release_wrote_is_told_from_what_somebody_else_wrote() {
        let keyring = Arc::new(Keyring::new(Master::new("test".into(), Zeroizing::new([9; 32]))));
        let book = Book::new(Arc::clone(&keyring), true);
        let doc = r#"{"Hologram":{"id":"h"}}"#;
        let mac = keyring.rows().mac(&entity_parts("Hologram", "h", doc, &7_i64.to_be_bytes()));
        let opened = |doc: &str| book.entity("Hologram", "h", doc, 7, &mac).map(drop).unwrap_err();
        assert!(matches!(opened(doc), StoreError::NewerSchema));
        assert!(matches!(opened(&doc.replace("id", "it")), StoreError::Tampered(what) if what == "the Hologram h"));

        let body = r#"{"removed":[{"kind":"Hologram","id":"h"}]}"#;
        let mac = keyring.rows().mac(&log_parts(&7_i64.to_be_bytes(), &6_i64.to_be_bytes(), body));
        assert!(matches!(book.delta(7, 6, body, &mac).map(drop), Err(StoreError::NewerSchema)));
        assert!(matches!(book.delta(7, 5, body, &mac).map(drop), Err(StoreError::Tampered(_))));
    }
}
