//! The SikkerKey server: machines, secrets, grants, access policies, audit.
//!
//! # The way of one read
//!
//! 1. [`http::listener`] accepts the connection; [`http::signed`] finds out who may have signed, and [`verify`] turns
//!    the received request into a [`verify::Verified`] one, together with whatever else waits to be verified at that
//!    moment. No handler takes anything else.
//! 2. The use case ([`usecase::read_secret`]) looks at what is known ([`live`]), asks the policy
//!    ([`policy::decide`], pure and total) whether the value might leave, and decrypts it into a buffer that is wiped
//!    ([`crypto::withheld`]).
//! 3. The [`writer`] takes all requests that wait as one group: burns their nonces, decides each again against the state
//!    of that moment, counts, writes the audit, commits.
//! 4. Only now, with the decision's [`policy::Permit`] and the writer's [`writer::Committed`], the value is released.
//!
//! # Invariants
//!
//! * No value leaves before its nonce and its audit row are durable. If they cannot be written, the read fails.
//! * One task writes, it is never cancelled, and what it could not write has not happened, in memory either.
//! * A change that was acknowledged is in force for every request that is decided after it.
//! * Whoever has the database without the root key has no value; whoever can only write it cannot make, change, remove
//!   or bring back a row without the next start refusing ([`store`]).
//! * An agent manages and never reads a value; a machine reads and never manages.
//! * A value that is sealed in its object opens only as what it was sealed for, and never replaces one that was sealed later.
//! * A policy that a person protects becomes no looser by what any agent does, and leaves no secret that it guards.
//! * Every request leaves a row in the audit or one more in a counter ([`audit`], [`ledger`]).
//! * A machine of no fleet reads what it is granted in a project it is a member of. A canary's read and what it freezes are
//!   one transaction, and it is read before whatever is asked for with it.
//! * What webhooks are told comes from the audit alone, in its order, at least once, and goes to public addresses.
//! * The clock and randomness are arguments ([`clock`], [`entropy`]).
//!
//! # When something fails
//!
//! * The database does not take writes: every request that needs one is answered 503 and undone, `/readyz` turns red, and
//!   the next write that succeeds turns it green. Nothing is answered from memory alone.
//! * The root key is not there: the server is sealed, says so, and opens when it comes ([`http::sealed`]).
//! * More is asked than can be done: reads that would wait too long are answered 503 before anything is done for them, and
//!   changes are let in. A machine that asks too often is answered 429 ([`rates`]), and clients that are slow, large or
//!   many meet a limit each ([`http::listener`], [`http::body`]).
//! * A row does not verify, the root key is another, the schema is newer: the server does not start, and says why.
//! * The database knows less than its anchor ([`anchor`]): the server does not start. An anchor that is away holds up no
//!   read: it is counted, shown by `admin audit status`, and tried again.
//! * The database is lost: `admin restore` makes another from a backup, in which nothing is back that was taken away since
//!   ([`usecase::admin::restore`]).
//! * A webhook's receiver is away: it is tried again for a day, nothing is left out, and nobody waits ([`webhook`]).
//! * A stored value does not open: that one read is answered 503 and audited; the others go on.
//! * A task panics, the writer above all: the process ends with an error, and whoever started it starts it again.
//!
//! # Where things are
//!
//! `http` → `usecase` → `policy`, `crypto`, `writer` → `store`. Types of what is known: [`model`], [`state`]; of what has
//! happened: [`ledger`]. [`run`] wires everything together, [`engine`] the part without listeners.

pub mod admin;
pub mod anchor;
pub mod app;
pub mod audit;
pub mod bell;
pub mod cli;
pub mod clock;
pub mod crypto;
pub mod decision;
pub mod engine;
pub mod entropy;
pub mod fingerprint;
pub mod floods;
pub mod health;
pub mod http;
pub mod https;
pub mod ledger;
pub mod live;
pub mod lockout;
pub mod logging;
pub mod looks;
pub mod metrics;
pub mod model;
pub mod oidc;
pub mod passwords;
pub mod policy;
pub mod pool;
pub mod rates;
pub mod refusal;
pub mod run;
mod shell;
pub mod state;
pub mod store;
pub mod tls;
pub mod turns;
pub mod usecase;
pub mod value;
pub mod verify;
pub mod webhook;
pub mod writer;
