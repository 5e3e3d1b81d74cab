//! What an absent field means. One table for the whole API version, never changed inside it: a later version whose
//! default differs converts by writing the old one down.
//!
//! The accessors of the spec types apply these; nothing else does. None of them is a schema `default`: nothing is ever
//! written to a `spec`, so that GitOps tools see no drift.

use std::time::Duration;

use crate::{
    access_policy::{CountedBy, Day},
    file_mode::FileMode,
    machine::{DeliveryMode, FileFormat, OnDenied},
    secret::{Charset, DeletionPolicy, OnTaken, SealedScope},
    size::Size,
};

/// `Machine.spec.identity.lifetime` of pods. Hosts do not expire.
pub const POD_LIFETIME: Duration = Duration::from_hours(1);
/// `Machine.spec.delivery.mode`.
pub const DELIVERY_MODE: DeliveryMode = DeliveryMode::Sidecar;
/// `Machine.spec.delivery.mountPath`.
pub const MOUNT_PATH: &str = "/run/secrets/sikkerkey";
/// `Machine.spec.delivery.sizeLimit`: 4Mi.
pub const SIZE_LIMIT: Size = Size::mebibytes(4);
/// `Machine.spec.delivery.onRevoked`.
pub const ON_REVOKED: OnDenied = OnDenied::Remove;
/// `Machine.spec.delivery.onClosed`.
pub const ON_CLOSED: OnDenied = OnDenied::Remove;
/// `Machine.spec.delivery.maxStaleness`: a day.
pub const MAX_STALENESS: Duration = Duration::from_hours(24);
/// `Machine.spec.delivery.onChange.debounce`.
pub const DEBOUNCE: Duration = Duration::from_secs(5);
/// `Machine.spec.delivery.onChange.httpPost.path`.
pub const HTTP_POST_PATH: &str = "/";
/// `Machine.spec.delivery.files[].format`.
pub const FILE_FORMAT: FileFormat = FileFormat::Raw;
/// `Machine.spec.delivery.files[].mode`: only containers that mount the volume see it, and it works for every uid.
pub const FILE_MODE: FileMode = FileMode::from_bits(0o444);

/// `Secret.spec.source.generate.length`, in characters.
pub const GENERATED_LENGTH: i32 = 32;
/// `Secret.spec.source.generate.charset`: safe in URLs, shells and connection strings.
pub const CHARSET: Charset = Charset::Alphanumeric;
/// `Secret.spec.source.sealed.scope`.
pub const SEALED_SCOPE: SealedScope = SealedScope::Name;
/// `Secret.spec.source.kubernetesSecret.onTaken`.
pub const ON_TAKEN: OnTaken = OnTaken::Keep;
/// `Secret.spec.deletionPolicy`.
pub const DELETION_POLICY: DeletionPolicy = DeletionPolicy::Retain;

/// `AccessPolicy.spec.timeWindow.days`.
pub const DAYS: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
/// `AccessPolicy.spec.rateCap.countedBy`: all pods of the fleet share the cap.
pub const COUNTED_BY: CountedBy = CountedBy::Machine;
