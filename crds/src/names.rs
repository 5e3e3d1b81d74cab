//! Names that are API: group, labels, annotations, and what injection puts into a pod.

/// Group of the four kinds.
pub const GROUP: &str = "sikkerkey.com";
/// Version of the four kinds.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of the four kinds.
pub const API_VERSION: &str = "sikkerkey.com/v1alpha1";

/// What every label, annotation and finalizer of ours begins with. Keys with this prefix that are not listed here are
/// refused on pods and on the four kinds.
pub const PREFIX: &str = "sikkerkey.com/";

/// Label of a pod: the Machine of its namespace that it assumes. Fixed once the pod exists.
pub const MACHINE_LABEL: &str = "sikkerkey.com/machine";
/// Annotation of a pod: comma-separated names of the containers that get the mount. Absent: all of them.
pub const CONTAINERS_ANNOTATION: &str = "sikkerkey.com/containers";
/// Annotation of a pod, written by the webhook: `VERSION,MACHINE-UID`. Attestation compares with the uid.
pub const INJECTED_ANNOTATION: &str = "sikkerkey.com/injected";
/// Finalizer of the four kinds: the object is gone when the access is gone.
pub const FINALIZER: &str = "sikkerkey.com/cleanup";

/// Field manager of the operator's server-side applies.
pub const FIELD_MANAGER: &str = "sikkerkey-operator";

/// Name of the injected container.
pub const CONTAINER: &str = "sikkerkey";
/// Name of the memory volume that holds the files. The app's containers mount it read-only.
pub const FILES_VOLUME: &str = "sikkerkey";
/// Name of the volume that holds the projected service-account token. Only the injected container mounts it.
pub const TOKEN_VOLUME: &str = "sikkerkey-token";
/// The volume names that are reserved in an injected pod.
pub const VOLUMES: [&str; 2] = [FILES_VOLUME, TOKEN_VOLUME];

/// Audience of the projected service-account token.
pub const AUDIENCE: &str = "sikkerkey";
