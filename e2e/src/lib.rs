//! A Kubernetes cluster for tests and demonstrations, made of real parts on one Linux machine.
//!
//! [`Cluster::start`](cluster::Cluster::start) brings up one of two kinds:
//!
//! * **a control plane**: etcd and kube-apiserver as plain processes on free ports. No root. Enough for controllers and webhooks.
//! * **a node**: the same in namespaces of its own, with controller-manager, scheduler, containerd and kubelet. It runs real pods. Needs
//!   root on Linux and a few packages ([`node::requirements`]); several can run at once.
//!
//! What holds always:
//!
//! * No process outlives the harness, however that ends (see [`keeper`]). A clean end, a panic, Ctrl-C, SIGTERM and SIGKILL of the
//!   harness remove everything else too; if the keepers are killed as well, the next start removes it. [`leftovers`] shows what is there.
//! * Everything is written below one directory for each run. Settings of the kernel that cannot be contained are shadowed.
//! * A part that fails is reported with its log's last lines; logs of a failed start or a panicking test are kept.
//! * Binaries come from the Go module in `controlplane`, which pins their versions, and are built once ([`assets`]).
//!
//! The way of a start: [`assets`] → a host keeper claims a number and cleans what an earlier run left → [`certificates`] and
//! configurations beside [`node`]'s namespaces → etcd, API server and containerd at once → kubelet, scheduler, controllers → ready.

pub mod assets;
pub mod bench;
mod build_command;
pub mod cargo;
pub mod certificates;
mod claim;
pub mod cli;
pub mod cluster;
pub mod control_plane;
pub mod demo;
pub mod dependencies;
pub mod document;
pub mod fault_proxy;
pub mod fetched;
pub mod fleet;
pub mod helm;
pub mod image;
pub mod installation;
pub mod keeper;
pub mod kubectl;
pub mod leftovers;
pub mod log_file;
pub mod node;
pub mod node_test;
pub mod pod;
pub mod pod_runner;
pub mod port;
pub mod process;
mod process_table;
pub mod python;
pub mod release;
pub mod report;
pub mod run;
mod run_directory;
pub mod shipped;
pub mod sidecar;
pub mod signed_client;
mod sweep;
pub mod take_down;
pub mod wait;
pub mod yaml;

pub use claim::{Claim, Kind, RunName};
pub use control_plane::etcd::{DumpError, EtcdDump};
pub use run_directory::RunDirectory;
