//! The SikkerKey sidecar: one process beside an application's containers that reads the pod's secrets and writes them as
//! files into a memory volume.
//!
//! # The way of a secret
//!
//! 1. [`run`] closes the process's memory ([`memory`]), takes the volume over ([`state`], [`publish`]) and starts the
//!    loop ([`agent`]).
//! 2. [`enrol`] makes a key, has the operator vouch for it with the pod's token, and registers it with the server.
//! 3. [`fetch`] holds the delivery and the values; one signed request asks for what differs from it, and the server
//!    holds its answer until something does.
//! 4. [`render`] makes the content of every file with the crate `sikkerkey-files`, which says as well where a file may
//!    stand, and [`publish`] swaps the whole set in with one rename.
//! 5. [`notify`] tells the application of a change, by HTTP or by a [`signal`]; [`manifest`] says which versions stand there.
//! 6. Whoever looks in: [`outlook`] puts together what others are shown and told; [`status`] and [`status_server`] answer
//!    it, and [`report`] has the operator write Events.
//! 7. `wait` and `ready` ([`wait`]) read what the sidecar says about itself ([`state`]), and hold the application back.
//!
//! [`init`] goes the same way once and ends: what is written is then kept current by nobody, and the identity is given up.
//!
//! # The way of an approval
//!
//! The same program serves a second machine, which a policy with `coSign` asks before it lets somebody read. `cosign`
//! ([`co_sign`]) takes the host's identity from its disk ([`identity_file`]), lists what waits for it, shows one request,
//! has its person confirm it, and signs an answer that repeats what was shown. Nothing of a pod is used or needed. A pod
//! that waits for an approval waits with a question that the server holds, and its state says who is awaited.
//!
//! # Invariants
//!
//! * A pod's key is drawn in this process, never leaves it, and is wiped; a second machine's is read from its file and
//!   wiped. Values are kept in memory that is wiped when they
//!   are replaced; the process is not dumpable and leaves no core. Buffers of the TLS and HTTP libraries are not wiped.
//! * No value, key, token or voucher is in a log, an error, or the state, at any level.
//! * Values are written into memory only ([`backing`]).
//! * Another process of the same user reads and traces nothing of this one ([`memory`]).
//! * A reader of the volume sees one whole set or another, never a mixture, whenever this process is killed.
//! * Nothing is written outside the volume and nothing there through a link.
//! * In a pod only the certificates of `SIKKERKEY_CA`, and then those that the operator sent, are trusted; on a host
//!   those that are named, else the system's.
//! * An answer to a request is signed only after what it says was printed, and never says that it stands for longer than
//!   the policy's window.
//! * One thread; no timer runs while the server holds an answer, except those that end it.
//!
//! # Failure modes
//!
//! * Operator or server away at the start: tries again with growing random pauses; the application waits.
//! * Server away later: the files stay for `maxStaleness` since it was last heard from, then they go. A restarted process
//!   goes on with the time that was left.
//! * Identity refused (401): enrols anew with the present token, files stay meanwhile.
//! * A read denied: the file goes or stays by the reason ([`fetch`]), and stays only if it was made of the secrets that the
//!   delivery names for it now ([`render`]). A required file that is missing holds the application back at the start; later
//!   the set is written without it.
//! * A value does not fit its format: the file holds the application back at the start; later it stays as it was, and the
//!   state says why.
//! * The application cannot be told, or the operator takes no report: it is tried a few times and logged; no read waits.
//! * Volume full, or something in the way: the set before stays, but for what is not wanted any more; the state says so, and
//!   the next attempts come less and less often.

pub mod agent;
pub mod backing;
pub mod cause;
pub mod cli;
pub mod client;
pub mod clock;
pub mod co_sign;
pub mod enrol;
pub mod fetch;
pub mod identity;
pub mod identity_file;
pub mod init;
pub mod logging;
pub mod manifest;
pub mod memory;
pub mod notify;
pub mod outlook;
pub mod publish;
pub mod random;
pub mod render;
pub mod report;
pub mod run;
pub mod schedule;
pub mod signal;
pub mod state;
pub mod status;
pub mod status_server;
pub mod wait;
