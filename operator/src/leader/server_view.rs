//! What the leader tells on its Lease about the server, so that a person who asks the API server learns of it. Pure.

use k8s_openapi::api::coordination::v1::Lease;
use serde::Serialize;

/// Annotation of the Lease.
const ANNOTATION: &str = "sikkerkey.com/server";
const ANSWERS: &str = "Answers";
const AWAY: &str = "Away";

/// Whether the server answers the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ServerView {
    /// It answered the last time.
    Answers,
    /// It did not.
    Away,
    /// The Lease does not say.
    Untold,
}

/// What a Lease says.
pub fn server_view(lease: &Lease) -> ServerView {
    match lease.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION)).map(String::as_str) {
        Some(ANSWERS) => ServerView::Answers,
        Some(AWAY) => ServerView::Away,
        _ => ServerView::Untold,
    }
}

/// `lease` as it is written by a leader whom the server answers, or not; `None`: who has not asked it yet.
pub(super) fn told(mut lease: Lease, answers: Option<bool>) -> Lease {
    let annotations = lease.metadata.annotations.get_or_insert_default();
    match answers {
        Some(answers) => {
            let said = if answers { ANSWERS } else { AWAY };
            annotations.insert(ANNOTATION.to_owned(), said.to_owned());
        }
        // What an earlier leader said holds no longer.
        None => {
            annotations.remove(ANNOTATION);
        }
    }
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_other_annotations_stay() {
        let mut lease = Lease::default();
        assert_eq!(server_view(&lease), ServerView::Untold);
        lease.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
        let away = told(lease, Some(false));
        assert_eq!(server_view(&away), ServerView::Away);
        let answers = told(away, Some(true));
        assert_eq!(server_view(&answers), ServerView::Answers);
        assert_eq!(server_view(&told(answers.clone(), None)), ServerView::Untold);
        assert_eq!(answers.metadata.annotations.unwrap()["a"], "b");
    }
}
