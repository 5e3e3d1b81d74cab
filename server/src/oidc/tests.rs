use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

/// Made for these tests alone.
const RSA: &[&str] = &[
    "MIIEowIBAAKCAQEAvvgSopiHc8hRu1SMkPXwlb/sxYVQtoevxAXkwCm0CeQGdIBY/ZQ51Mf5lZMV+grtr68QgPh3WLaYMWPzbLbZ",
    "xUYWL8WznieWbc8M6DjJC7kpmCL6JUKOrUupW6qT1vH0btEBOYvQplFqH3vK+0vPZIikg4zozJGAYlewWqcZI86sdEmlwNrwK5mP",
    "JNna5PsW6HtiSR8LDhUQfZcln7KxanZhn4reOY48e1QupwB87FwKXR1Prvzux+0paG9/TG8cQqOZl/okKUO6NB34YyjcQ3zcBe1u",
    "ufCh6cy04Xmh43w5RGWFTQv2eSX2LX1r4ztXz5FnawGaDckbW1TpIpqfwQIDAQABAoIBACXYLH07Y/BufL/2d+rMSlKq16WnD0E0",
    "74CVuGjaetrQ7PSOcNRD2RgRTyU0olDMdKDxvQAJ/UC/4rY6/AUJ0Ws2QfRSpg9MAhQdyY2Fn1Xq6lLDb7YNlA/EpDnNuoGIrmt9",
    "kNQSIJWtIa4+jpGxSta9+3g0ZvgPR5V1kjXM0n8VQIy9zMFrUdqGV+2xe+c7NmjgEFJs4hUQPrlNc/gI7kAm5juh8Ye3qC7D0Bzt",
    "Y0FLQ093h5lf8PIDvwUFsBs+AqSwclAGhPpPLmAZuJqKMgWOD6UvpBr8xbNQ0D9oByiK69gh/e0Prtt8Y30wLwXXfPOZEmwB0yfl",
    "NcFa20LW9ikCgYEA774eKb9f1XQcsjRZ5slcmH7RC+bZ6+QOdRUCDXbJKEjA5jVotyqvPHY3+Qr90F/7EsFIX7XV4hPjK1R1gwGY",
    "5qysKTR6vCprjGhRWAy5Q9qA4HP5tO53H5kyv0JSEBt/JWxZI6eoNeut5FEl64zKcspfH6+50z8msxvW2L7EXoUCgYEAy+tBWCCB",
    "Qj2rE7dg2ObwQNpOT8BReH8kdsYyknfqvgZ0hBtLdE2oWkJ4r+xDy+K7w9y0ZxSW/lCfG4V4SGspMiv8uLrDQx583OK7QbVmHO8P",
    "BRNwhZjMpb59zPkFyv3jMGKA5L6eMBNaWH6Xdc+0VzxJ9n/5ZDyWIk0j6YuKdw0CgYEA5rmxjbwAHw2AEIERhGqGErz5stqZH8x7",
    "nXJ6ZzrKnVpnSyZbgOwzeZzMgYFyg/fbSlF5taLqFInPNwQxk8MVw+qqRX2cITsyBg7fOj4EjqjbHyh+SQK24lIt5KOPFrFfzERa",
    "BVZ1LG+FCxaNyAPXUmIw6e3UiNleBUHlovL1SYECgYA+RHwTmPlfbM1Mm/ZqxTof04mOOL+n98r+qc7PguafWAFERcFopj3+McYA",
    "kjixjW6ghEhiIZtp1NyA3uS32GEf/OaS0hTF7g1atbFQgz/HHgiMGD+Hy/zRr7ViXbgzIAu7vph1QO+05nP0CdPeGaqL6ND9AF77",
    "CLUfjEanDgEeEQKBgELVeER7zb4vAbjLc0N4MgeWB2xqEf2bNJBVc+56G3olV9GqQkuelCipPn1FRgDh7ak7THZUF1xuXVbC2WsR",
    "qDA56Sc6FQp7sghCQa6Jpj/W27OdkiExBHKPkQV/66OzcR55EowvoCqQUefnioqTYVYzO1/g1/3+A9PljWVDRYPR",
];
pub(crate) const AUDIENCE: &str = "https://sikkerkey.example.com";
pub(crate) const NOW: Millis = Millis(1_772_625_600_000);

/// A signing key of a cluster.
pub(crate) struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    kid: String,
}

impl Signer {
    pub(crate) fn ec(n: u8, kid: &str) -> Self {
        // PKCS#8 of a P-256 key, up to its 32 bytes.
        let mut der = vec![
            0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
            0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
        ];
        der.extend([n; 32]);
        Self { algorithm: Algorithm::ES256, key: EncodingKey::from_ec_der(&der), kid: kid.into() }
    }

    fn rsa(kid: &str) -> Self {
        let der = STANDARD.decode(RSA.concat()).unwrap();
        Self { algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(&der), kid: kid.into() }
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn jwks(signers: &[&Self]) -> String {
        json!({ "keys": signers.iter().map(|it| it.jwk()).collect::<Vec<_>>() }).to_string()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// An ES256 token with n − s for s, which anybody can make of it, and which verifies as well.
pub(crate) fn written_otherwise(token: &str) -> String {
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = url.decode(signature).unwrap();
    let mut borrow = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", url.encode(signature))
}

pub(crate) fn cluster(name: &str, signers: &[&Signer]) -> Cluster {
    Cluster {
        name: name.into(),
        vault: "vault_v".parse().unwrap(),
        issuer: "https://kubernetes.default.svc".into(),
        jwks: Signer::jwks(signers),
        subject: "system:serviceaccount:sikkerkey-system:sikkerkey-operator".into(),
        logins_after: None,
    }
}

/// As a cluster's API server writes them.
pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://kubernetes.default.svc",
        "sub": "system:serviceaccount:sikkerkey-system:sikkerkey-operator",
        "aud": [AUDIENCE],
        "exp": NOW.seconds() + 3600,
        "iat": NOW.seconds(),
        "nbf": NOW.seconds(),
        "jti": "5d0c1b7e-2f3c-4a53-a4a3-0a2c6c0e1f11",
        "kubernetes.io": {
            "namespace": "sikkerkey-system",
            "node": { "name": "node-1", "uid": "n" },
            "pod": { "name": "sikkerkey-operator-1", "uid": "p" },
            "serviceaccount": { "name": "sikkerkey-operator", "uid": "s" },
        },
    })
}

fn check(clusters: &[Cluster], token: &str) -> Result<(String, String, Millis), TokenError> {
    verify(clusters.iter(), token, AUDIENCE, NOW).map(|it| (it.cluster.name.clone(), it.pod, it.expires_at))
}

#[test]
fn a_token_is_of_the_cluster_whose_key_verifies_it_whatever_it_says() {
    // Two clusters with the same issuer, as kubeadm makes them, and the same kid.
    let (first, second) = (Signer::ec(1, "k"), Signer::ec(2, "k"));
    let clusters = [cluster("a", &[&first]), cluster("b", &[&second])];
    let pod = "sikkerkey-system/sikkerkey-operator-1".to_owned();
    let end = Millis((NOW.seconds() + 3600) * 1000);
    assert_eq!(check(&clusters, &first.sign(&claims())), Ok(("a".into(), pod.clone(), end)));
    assert_eq!(check(&clusters, &second.sign(&claims())), Ok(("b".into(), pod.clone(), end)));
    assert_eq!(check(&clusters, &Signer::ec(3, "k").sign(&claims())), Err(TokenError::UnknownKey));
    let rsa = Signer::rsa("r");
    assert_eq!(check(&[cluster("a", &[&first, &rsa])], &rsa.sign(&claims())), Ok(("a".into(), pod, end)));
}

#[test]
fn what_is_not_a_signature_by_a_trusted_key_is_refused() {
    let signer = Signer::ec(1, "k");
    let clusters = [cluster("a", &[&signer])];
    let good = signer.sign(&claims());
    for text in ["", "a.b", "a.b.c", &"x".repeat(20_000)] {
        assert_eq!(check(&clusters, text), Err(TokenError::Malformed), "{text}");
    }
    assert_eq!(check(&clusters, &Signer::ec(1, "other").sign(&claims())), Err(TokenError::UnknownKey));
    // Another body under the same signature.
    let mut parts: Vec<&str> = good.split('.').collect();
    let other = signer.sign(&json!({ "iss": "x" }));
    parts[1] = other.split('.').nth(1).unwrap();
    assert_eq!(check(&clusters, &parts.join(".")), Err(TokenError::UnknownKey));
    // No algorithm, and the public key as a shared secret.
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let none = format!("{}.{}.", url.encode(r#"{"alg":"none","kid":"k"}"#), good.split('.').nth(1).unwrap());
    assert_eq!(check(&clusters, &none), Err(TokenError::Malformed));
    let shared = |alg| {
        let mut header = Header::new(alg);
        header.kid = Some("k".into());
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(clusters[0].jwks.as_bytes())).unwrap()
    };
    assert_eq!(check(&clusters, &shared(Algorithm::HS256)), Err(TokenError::Algorithm));
    let nameless = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims(), &signer.key).unwrap();
    assert_eq!(check(&clusters, &nameless), Err(TokenError::Algorithm));
    // A key of another family under the kid that the token names.
    let rsa = Signer { kid: "k".into(), ..Signer::rsa("k") };
    assert_eq!(check(&[cluster("a", &[&rsa])], &good), Err(TokenError::UnknownKey));
}

#[test]
fn after_a_restore_only_newer_tokens_are_accepted() {
    let signer = Signer::ec(1, "k");
    let token = signer.sign(&claims());
    let checked = |second| {
        let restored = Cluster { logins_after: Some(second), ..cluster("a", &[&signer]) };
        check(&[restored], &token).map(drop)
    };
    assert_eq!(checked(NOW.seconds() - 1), Ok(()));
    assert_eq!(checked(NOW.seconds()), Err(TokenError::BeforeRestore));
    assert_eq!(checked(NOW.seconds() + 60), Err(TokenError::BeforeRestore));
}

#[test]
fn every_claim_is_looked_at() {
    let signer = Signer::ec(1, "k");
    let clusters = [cluster("a", &[&signer])];
    let now = NOW.seconds();
    let audience = || TokenError::Audience(AUDIENCE.into());
    let subject = || TokenError::Subject(clusters[0].subject.clone());
    let table: Vec<(&str, Value, Result<(), TokenError>)> = vec![
        ("/iss", json!("https://other"), Err(TokenError::Issuer("a".into()))),
        ("/sub", json!("system:serviceaccount:shop:sikkerkey-operator"), Err(subject())),
        ("/sub", json!("system:serviceaccount:sikkerkey-system:sikkerkey-operator2"), Err(subject())),
        ("/aud", json!("https://sikkerkey.example.com"), Ok(())),
        ("/aud", json!([]), Err(audience())),
        ("/aud", json!(["https://other"]), Err(audience())),
        ("/aud", json!([AUDIENCE, "https://kubernetes.default.svc"]), Err(audience())),
        ("/exp", json!(now - 59), Ok(())),
        ("/exp", json!(now - 60), Err(TokenError::Expired)),
        ("/exp", json!("soon"), Err(TokenError::Claims)),
        ("/nbf", json!(now + 60), Ok(())),
        ("/nbf", json!(now + 61), Err(TokenError::NotYet)),
        ("/iat", json!(now + 61), Err(TokenError::NotYet)),
        ("/exp", json!(now + 24 * 3600), Ok(())),
        ("/exp", json!(now + 24 * 3600 + 1), Err(TokenError::TooLong)),
        ("/kubernetes.io/pod", Value::Null, Err(TokenError::NotBound)),
        ("/kubernetes.io", Value::Null, Err(TokenError::NotBound)),
    ];
    for (path, value, expected) in table {
        let mut claims = claims();
        *claims.pointer_mut(path).unwrap() = value.clone();
        assert_eq!(check(&clusters, &signer.sign(&claims)).map(drop), expected, "{path} {value}");
    }
    for missing in ["iss", "sub", "aud", "exp", "iat"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(missing);
        assert_eq!(check(&clusters, &signer.sign(&claims)), Err(TokenError::Claims), "{missing}");
    }
}

#[test]
fn a_jwk_set_needs_a_key_that_can_verify() {
    let (ec, rsa) = (Signer::ec(1, "k"), Signer::rsa("r"));
    assert_eq!(thumbprints(&Signer::jwks(&[&ec, &rsa])).unwrap().len(), 2);
    // The same key under another name is the same key.
    assert_eq!(thumbprints(&Signer::jwks(&[&ec])), thumbprints(&Signer::jwks(&[&Signer::ec(1, "other")])));
    assert_eq!(thumbprints("[]"), Err(JwksError::Malformed));
    assert_eq!(thumbprints(r#"{"keys":[]}"#), Err(JwksError::NoKey));
    let mut encryption = ec.jwk();
    encryption["use"] = json!("enc");
    let mut nameless = ec.jwk();
    nameless.as_object_mut().unwrap().remove("kid");
    let shared = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "s", "alg": "HS256" });
    for key in [encryption, nameless, shared] {
        assert_eq!(thumbprints(&json!({ "keys": [key] }).to_string()), Err(JwksError::NoKey));
    }
}

#[test]
fn a_token_that_was_used_is_known_again_however_its_signature_is_written_and_by_whatever_version() {
    let signer = Signer::ec(1, "k");
    let clusters = [cluster("a", &[&signer])];
    let token = signer.sign(&claims());
    let other = written_otherwise(&token);
    assert_ne!(token, other);
    assert!(check(&clusters, &other).is_ok());
    let spent = |hash: String| HashMap::from([(hash.clone(), SpentLogin { hash, expires_at: NOW })]);
    let hash = unspent(&HashMap::new(), &token).unwrap();
    assert_eq!(unspent(&spent(hash.clone()), &token), None);
    assert_eq!(unspent(&spent(hash), &other), None);
    assert_eq!(unspent(&spent(sha256_hex(token.as_bytes())), &token), None);
    let next = signer.sign(&json!({ "jti": "2" }));
    assert!(unspent(&spent(sha256_hex(token.as_bytes())), &next).is_some());
}
