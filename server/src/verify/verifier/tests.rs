use sikkerkey_protocol::key::MachineKey;
use zeroize::Zeroizing;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_gets_the_answer_of_its_own() {
    let metrics = Arc::default();
    let (verifier, _tasks) = Verifier::start(&metrics);
    let verifier = Arc::new(verifier);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..500_u32 {
        let verifier = Arc::clone(&verifier);
        tasks.spawn(async move {
            let key = MachineKey::from_seed(&Zeroizing::new([u8::try_from(n % 7).unwrap(); 32]));
            let message = n.to_le_bytes().to_vec();
            let is_bad = n % 13 == 0;
            let signature = if is_bad { key.sign(b"another") } else { key.sign(&message) };
            let verdict = verifier.verify(key.public_key(), message, signature).await;
            assert_eq!(verdict, if is_bad { Err(Unverified::BadSignature) } else { Ok(()) }, "{n}");
        });
    }
    tasks.join_all().await;
    let text = metrics.render();
    assert!(text.contains("sikkerkey_verify_seconds_count 500"), "{text}");
}

#[tokio::test]
async fn what_waits_at_the_same_moment_is_verified_together_and_beyond_the_queue_nothing_is() {
    let metrics = Arc::default();
    let (verifier, _tasks) = Verifier::start(&metrics);
    let key = MachineKey::from_seed(&Zeroizing::new([1; 32]));
    let one = || verifier.verify(key.public_key(), b"message".to_vec(), key.sign(b"message"));
    let places = verifier.lanes.len() * WAITING;
    // On a single thread nobody verifies before all have asked.
    let asked: Vec<_> = (0..places + 50).map(|_| Box::pin(one())).collect();
    let mut answers = Vec::new();
    let mut asked = asked;
    std::future::poll_fn(|context| {
        asked.retain_mut(|it| match it.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if asked.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    let overloaded = answers.iter().filter(|it| **it == Err(Unverified::Overloaded)).count();
    assert_eq!((answers.len(), overloaded), (places + 50, 50));
    let text = metrics.render();
    let batches = places.div_ceil(TOGETHER);
    assert!(text.contains(&format!("sikkerkey_verified_together_count {batches}\n")), "{text}");
}
