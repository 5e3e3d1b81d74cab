//! Names of Services for pods, where a cluster has `CoreDNS`: `NAME.NAMESPACE.svc.cluster.local` is the address of that Service.
//!
//! Each question is a question to the API server: nothing is kept, so nothing is ever old. There is nothing else: no pods, no headless
//! Services, no names outside of the cluster.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use k8s_openapi::api::core::v1::Service;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use tokio::net::UdpSocket;

use super::network::DNS_SERVICE;
use crate::keeper::{self, KeeperError, protocol::Spawn};
use crate::run_directory::RunDirectory;

/// What every name of a Service ends with.
const ZONE: &str = ".svc.cluster.local";
/// How long a pod may take an answer for true, in seconds.
const TTL: u32 = 1;

/// How it is started.
pub(crate) fn spawn(run: &RunDirectory) -> Result<Spawn, KeeperError> {
    let kubeconfig = run.join("kubeconfig/admin").display().to_string();
    Ok(Spawn {
        program: keeper::binary()?,
        args: vec!["names".into(), kubeconfig, SocketAddr::from((DNS_SERVICE, 53)).to_string()],
        env: Vec::new(),
        log: run.log("names").path().to_owned(),
    })
}

/// Answers until it is ended.
pub(crate) async fn serve(kubeconfig: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let socket = std::sync::Arc::new(UdpSocket::bind(address).await?);
    loop {
        let mut bytes = [0; 1500];
        let (length, asker) = socket.recv_from(&mut bytes).await?;
        let (client, socket) = (client.clone(), std::sync::Arc::clone(&socket));
        tokio::spawn(async move {
            let question = bytes.get(..length).unwrap_or_default();
            if let Some(answer) = answered(&client, question).await {
                // Whoever asks again is answered again.
                let _ = socket.send_to(&answer, asker).await;
            }
        });
    }
}

async fn answered(client: &Client, bytes: &[u8]) -> Option<Vec<u8>> {
    let asked = Packet::parse(bytes).ok()?;
    let name = asked.questions.first()?.qname.to_string();
    let found = match service(&name) {
        None => Ok(None),
        Some((namespace, name)) => {
            let services: Api<Service> = Api::namespaced(client.clone(), namespace);
            services.get_opt(name).await.map(|service| service.as_ref().map(cluster_addresses))
        }
    };
    answer(asked, found).build_bytes_vec().ok()
}

/// Namespace and name of the Service that is asked for.
fn service(name: &str) -> Option<(&str, &str)> {
    let (service, namespace) = name.trim_end_matches('.').strip_suffix(ZONE)?.split_once('.')?;
    let is_label =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_label(service) && is_label(namespace)).then_some((namespace, service))
}

fn cluster_addresses(service: &Service) -> Vec<Ipv4Addr> {
    let addresses = service.spec.as_ref().and_then(|spec| spec.cluster_ips.as_deref()).unwrap_or_default();
    addresses.iter().filter_map(|address| address.parse().ok()).collect()
}

/// The answer to a question, from what was found: no Service, or the addresses of one.
fn answer<E: Display>(asked: Packet<'_>, found: Result<Option<Vec<Ipv4Addr>>, E>) -> Packet<'_> {
    let mut reply = asked.into_reply();
    reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER | PacketFlag::RECURSION_AVAILABLE);
    reply.additional_records.clear();
    match found {
        Err(error) => {
            tracing::warn!("cannot look for a Service: {error}");
            *reply.rcode_mut() = RCODE::ServerFailure;
        }
        Ok(None) => *reply.rcode_mut() = RCODE::NameError,
        Ok(Some(addresses)) => {
            // Of other types it has none, which is no error: whoever asks for IPv6 as well would take that for "no such name".
            let asked = reply.questions.first().filter(|it| matches!(it.qtype, QTYPE::TYPE(TYPE::A) | QTYPE::ANY));
            if let Some(name) = asked.map(|question| question.qname.clone()) {
                reply.answers.extend(addresses.into_iter().map(|address| {
                    let data = RData::A(A { address: address.to_bits() });
                    ResourceRecord::new(name.clone(), CLASS::IN, TTL, data)
                }));
            }
        }
    }
    reply
}

#[cfg(test)]
mod tests {
    use simple_dns::{Name, QCLASS, Question};

    use super::*;

    const NAME: &str = "web.shop.svc.cluster.local";

    fn asked(kind: TYPE) -> Packet<'static> {
        let mut packet = Packet::new_query(7);
        let name = Name::new_unchecked(NAME);
        packet.questions.push(Question::new(name, kind.into(), QCLASS::CLASS(CLASS::IN), false));
        packet
    }

    #[test]
    fn only_names_of_services_are_looked_for() {
        assert_eq!(service(NAME), Some(("shop", "web")));
        assert_eq!(service("web.shop.svc.cluster.local."), Some(("shop", "web")));
        for name in [
            "web.shop.svc",
            "web.shop.svc.shop.svc.cluster.local",
            "shop.svc.cluster.local",
            "../x.y.svc.cluster.local",
        ] {
            assert_eq!(service(name), None, "{name}");
        }
    }

    #[test]
    fn a_service_has_its_address_and_of_other_types_nothing() {
        let found = Ok::<_, String>(Some(vec![Ipv4Addr::new(10, 96, 1, 2)]));
        let bytes = answer(asked(TYPE::A), found.clone()).build_bytes_vec().unwrap();
        let told = Packet::parse(&bytes).unwrap();
        assert_eq!((told.id(), told.rcode(), told.answers.len()), (7, RCODE::NoError, 1));
        assert!(matches!(&told.answers[0].rdata, RData::A(A { address: 0x0a60_0102 })), "{told:?}");
        let told = answer(asked(TYPE::AAAA), found);
        assert_eq!((told.rcode(), told.answers.len()), (RCODE::NoError, 0));
    }

    #[test]
    fn what_is_not_there_is_told_apart_from_what_is_not_known() {
        assert_eq!(answer(asked(TYPE::A), Ok::<_, String>(None)).rcode(), RCODE::NameError);
        assert_eq!(answer(asked(TYPE::A), Err("away")).rcode(), RCODE::ServerFailure);
    }
}
