use super::*;

async fn receive(memory: &Memory, size: usize) -> Result<Received, Refusal> {
    memory.receive(HeaderMap::new(), Body::from(vec![7; size]), 128 * 1024).await
}

#[tokio::test]
async fn large_bodies_share_a_bounded_memory_and_small_ones_need_none_of_it() {
    let memory = Memory::of(10_000);
    let first = receive(&memory, 6_000).await.unwrap();
    assert_eq!(first.len(), 6_000);
    let refusal = receive(&memory, 6_000).await.err().unwrap();
    assert_eq!((refusal.kind, refusal.retry_after_seconds), (RefusalKind::Unavailable, Some(1)));
    let second = receive(&memory, 4_000).await.unwrap();
    for size in [0, 1, SMALL] {
        assert_eq!(receive(&memory, size).await.unwrap().len(), size);
    }
    drop((first, second));
    assert_eq!(receive(&memory, 10_000).await.unwrap().len(), 10_000);
    assert_eq!(memory.0.available_permits(), 10_000);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_gives_back_its_place() {
    let memory = Memory::of(1_000_000);
    let refusal = receive(&memory, 128 * 1024 + 1).await.err().unwrap();
    assert_eq!((refusal.kind, &*refusal.message), (RefusalKind::Invalid, "the body is larger than 128 KiB"));
    assert_eq!(memory.0.available_permits(), 1_000_000);
}

/// A body of which nothing more comes.
struct Stuck;

impl axum::body::HttpBody for Stuck {
    type Data = Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let begun = tokio::time::Instant::now();
    let refusal = Memory::default().receive(HeaderMap::new(), Body::new(Stuck), 1000).await.err().unwrap();
    assert_eq!((refusal.kind, &*refusal.message), (RefusalKind::Invalid, "the body took too long to arrive"));
    assert_eq!(begun.elapsed().as_secs(), BODY_TIME.as_secs());
}
