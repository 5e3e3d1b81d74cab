//! The SikkerKey operator: makes the server hold what the cluster says, and lets pods in.
//!
//! # What runs where
//!
//! | Part | Where | What it does |
//! |---|---|---|
//! | [`index`] | every replica | watches the four kinds, namespaces and service accounts |
//! | [`webhook`], [`attest`] by [`serve`] | every replica | injects the sidecar, refuses what a schema cannot, vouches for keys |
//! | [`question`] by [`serve`] | every replica | asks the server what a person wants to know, after the API server said that they may |
//! | [`server`] | every replica | the session with the server: one key in memory, one login |
//! | [`ca`] | every replica, writes by the leader | the certificates of operator and server |
//! | [`controller`], [`pods`] | the [`leader`] | put objects in force, take gone pods out of force, compare, write statuses |
//!
//! [`run`] wires them, [`manifests`] is what the cluster needs for them. [`seal`] is for a person at a computer of their own:
//! it encrypts a value that is to stand in Git. [`plugin`] is `kubectl sikkerkey`, which asks the cluster as the person it runs
//! for.
//!
//! # The way of one object
//!
//! 1. A watch brings it. The index notes what it refers to and tells those it concerns: whoever refers to it, a Grant's
//!    Machine and Secrets, a Secret's policy, and the object itself ([`index::references`]).
//! 2. When its turn has come ([`controller::queue`]), a pass begins ([`controller::reconcile`]): `gather` reads its
//!    surroundings from the index, `plan` decides.
//! 3. Our finalizer goes on, before the server learns of it.
//! 4. One signed call tells the server the whole of it. The answer says how it stands there.
//! 5. `conclude` makes the status that follows. It is written when it differs, and an Event tells of a new reason.
//!    The first one of a Machine or Secret waits, where it is good, for Grants that name it and that nobody has looked at: they
//!    change what it counts, and it would be written twice.
//!
//! Every few seconds the inventory of the server is compared with the index ([`controller::sweep`]): what was missed is
//! applied or removed, and statuses follow what happened at the server.
//!
//! # Invariants
//!
//! * `gather` reads, `plan`, `convert` and `conclude` are pure. Only [`controller::reconcile`] writes, one pass at a time
//!   for each object.
//! * A core Secret is read by name, in a pass over a Secret (sks) that takes its value from it, and only if the operator was
//!   started to do so. It is never listed, watched or kept; of it the operator remembers uid and resource version.
//! * An object that is not accepted changes nothing at the server. What it names in another namespace needs the consent of
//!   that namespace, and whether something is missing there or not consenting reads the same.
//! * A list that could not be read is never taken for an empty one: nothing is concluded from an index that is not whole,
//!   and before something is removed the API server itself is asked.
//! * In a namespace that the operator does not manage ([`namespaces`]) nothing is in force, and what stands there is absent for
//!   objects of others.
//! * `spec` is never written. Of an object the operator owns its finalizer and its status.
//! * What an object gave is over with that very object: one made anew under its name, accepted or not, keeps nothing of it
//!   in force. The comparison goes by uid.
//! * The server being away changes no condition of what is in force.
//!
//! # Failure modes
//!
//! The server is away: changes wait and say so; all recovers within seconds of its return. The API server is away: the
//! index keeps what it had, the webhook answers from it, passes are retried. A replica dies: the next leader passes over
//! everything; all calls are idempotent and carry generations, so an older one never replaces a newer one.

pub mod api_server;
pub mod attest;
pub mod ca;
pub mod cli;
pub mod clock;
pub mod controller;
mod dns;
pub mod index;
pub mod leader;
pub mod logging;
pub mod manifests;
pub mod metrics;
pub mod namespaces;
pub mod plugin;
pub mod pods;
pub mod question;
pub mod run;
pub mod seal;
pub mod serve;
pub mod server;
pub mod tracking;
pub mod webhook;
mod yaml;
