use clap::Parser;

use super::opening::pause;
use super::*;

fn check_of(arguments: &[&str]) -> Result<(), String> {
    let always = ["sikkerkey-server", "serve", "--data-dir", "data"];
    let Command::Serve(serve) = Cli::try_parse_from(always.iter().chain(arguments)).unwrap().command else { panic!() };
    check(&serve).map_err(|error| error.to_string())
}

#[test]
fn plain_http_and_a_root_key_beside_the_data_are_for_loopback_only() {
    let loopback = ["--listen", "127.0.0.1:1", "--public-url", "http://localhost:1"];
    assert_eq!(check_of(&loopback), Ok(()));
    assert_eq!(check_of(&["--listen", "[::1]:1", "--public-url", "http://localhost:1"]), Ok(()));

    let open = ["--listen", "0.0.0.0:1", "--public-url", "https://keys.example.com"];
    assert!(check_of(&open).unwrap_err().contains("give --tls-cert and --tls-key"));
    let tls = [&open[..], &["--tls-cert", "c", "--tls-key", "k"]].concat();
    assert!(check_of(&tls).unwrap_err().contains("give --root-key-file"));
    for elsewhere in [["--root-key-file", "r"], ["--root-key-fd", "3"], ["--root-key-command", "kms"]] {
        assert_eq!(check_of(&[&tls[..], &elsewhere].concat()), Ok(()), "{elsewhere:?}");
    }
}

#[test]
fn the_root_key_comes_from_one_place() {
    let given = ["--root-key-file=r", "--root-key-fd=3", "--root-key-command=kms"];
    for (i, one) in given.iter().enumerate() {
        for other in &given[i + 1..] {
            let line =
                ["server", "serve", "--data-dir=d", "--listen=[::1]:1", "--public-url=http://localhost", one, other];
            let error = Cli::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains("cannot be used with"), "{error}");
        }
    }
}

#[test]
fn a_sealed_server_tries_again_every_few_seconds() {
    let pauses: Vec<_> = [0, 1, 4, 5, 40, u32::MAX].map(|it| pause(it).as_millis()).into();
    assert_eq!(pauses, [250, 500, 4000, 5000, 5000, 5000]);
}

#[test]
fn the_public_url_is_an_origin() {
    for (url, problem) in [
        ("keys.example.com", "must begin with https://"),
        ("https://", "must be an origin"),
        ("https://keys.example.com/path", "must be an origin"),
        ("https://user@keys.example.com", "must be an origin"),
        ("https://keys.example.com?x", "must be an origin"),
    ] {
        let error = check_of(&["--listen", "127.0.0.1:1", "--public-url", url]).unwrap_err();
        assert!(error.contains(problem), "{url}: {error}");
    }
    assert_eq!(check_of(&["--listen", "127.0.0.1:1", "--public-url", "https://keys.example.com:8443/"]), Ok(()));
}
