//! Where values and keys must not be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::on_a_node;
use crate::team::{PASSWORD, SHOP, Team};

#[test]
fn no_value_is_in_etcd_in_a_log_or_in_the_database() {
    on_a_node("secrecy", async |installation| {
        let team = Team::new(installation, "secrecy").await;
        team.apply(SHOP).await;
        team.run(team.pod_object("web", "exec sleep 3600")).await;
        let password = team.read("web", PASSWORD).await.unwrap();
        let cluster = &team.installation.cluster;
        let encoded = STANDARD.encode(&password);
        for needle in [password.as_bytes(), encoded.trim_end_matches('=').as_bytes()] {
            assert_eq!(cluster.etcd_files_with(needle).unwrap(), Vec::<std::path::PathBuf>::new(), "etcd");
            assert_eq!(cluster.logs_with(needle).unwrap(), Vec::<std::path::PathBuf>::new(), "logs");
            let data = team.installation.data_directory();
            for entry in std::fs::read_dir(&data)
                .unwrap()
                .flatten()
                .filter(|entry| entry.metadata().is_ok_and(|it| it.is_file()))
            {
                let bytes = std::fs::read(entry.path()).unwrap();
                assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{}", entry.path().display());
            }
        }
        // The search finds what is there: the Secret's name stands in all three.
        assert!(!cluster.etcd_files_with(b"secrecy").unwrap().is_empty());
        assert!(!cluster.logs_with(b"secrecy").unwrap().is_empty());
    });
}
