//! Settings that take the place of others: who is judged again, and what for.

use std::sync::Arc;

use serde_json::json;
use tidings_core::{
    Code, Credentials, Delivery, End, From, KeySet, Keys, Limits, Namespace, Policy, Settings, Subscribe,
    Tokens,
};

use super::token::token;
use crate::node::{API_KEY, BEGAN_MS, Node, SECRET, channel, draft, next, nothing, public, texts, want};

fn keys() -> Keys {
    Keys::new([API_KEY], Some(SECRET))
}

fn settings(namespaces: impl IntoIterator<Item = (&'static str, Namespace)>, keys: Keys) -> Settings {
    let namespaces = namespaces.into_iter().map(|(name, namespace)| (name.to_owned(), namespace));
    Settings { policy: Policy::new(namespaces), keys, limits: Limits { feeds: 100, ..Limits::default() } }
}

fn alice() -> Credentials {
    Credentials::Bearer(token(&json!({ "sub": "alice", "exp": BEGAN_MS / 1_000 + 3_600 })))
}

const LOG: Delivery = Delivery::AtLeastOnce;

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_refused_is_named_until_it_is_left() {
    let node = Node::new([("a", public(LOG)), ("b", public(LOG)), ("c", public(LOG))]);
    let mut read = node.follow(&["a:1", "b:1", "c:1"], From::Latest).await.unwrap();
    nothing(&mut read).await;
    node.control.replace(settings([("b", public(LOG))], keys()));
    for _ in 0..2 {
        let Err(End::Refused(refused)) = next(&mut read, 9).await else { panic!("it reads on") };
        let names: Vec<_> = refused.iter().map(|(channel, error)| (channel.as_str(), error.code)).collect();
        assert_eq!(names, [("a:1", Code::UnknownNamespace), ("c:1", Code::UnknownNamespace)]);
    }
    for name in ["a:1", "c:1"] {
        read.leave(read.reader(&channel(name)).unwrap());
    }
    node.publish("b:1", &["x"]).await;
    assert_eq!(texts(&mut read, 1).await, ["x"]);
}

/// What was judged before and begins after: no moment is left between the two.
#[tokio::test(start_paused = true)]
async fn what_was_judged_before_is_judged_again() {
    let node = Node::new([("a", public(LOG)), ("b", public(LOG))]);
    let session = node.backend();
    let mut read = session.subscription(2).unwrap();
    let mut places = session.find(want(&["a:1", "b:1"], From::Latest)).await.unwrap();
    session.join(&mut read, places.remove(1)).unwrap();
    nothing(&mut read).await;
    let writer = session.writer(&channel("a:1")).unwrap();
    node.control.replace(settings([("b", public(LOG))], keys()));
    nothing(&mut read).await;
    session.join(&mut read, places.remove(0)).unwrap();
    assert!(matches!(next(&mut read, 1).await, Err(End::Refused(refused)) if refused.len() == 1));
    let stopped = writer.append(vec![draft("x")]).await.unwrap_err();
    assert_eq!(stopped.error.code, Code::UnknownNamespace);
    let writer = session.writer(&channel("b:1")).unwrap();
    node.control.replace(settings([("b", public(LOG))], Keys::new(["sk_other"], Some(SECRET))));
    assert_eq!(writer.append(vec![draft("x")]).await.unwrap_err().error.code, Code::TokenExpired);
    assert_eq!(session.writer(&channel("b:1")).err().unwrap().code, Code::TokenExpired);
    assert_eq!(session.may_administer().unwrap_err().code, Code::TokenExpired);
    assert_eq!(session.cut().await.code, Code::TokenExpired);
    assert_eq!(read.expires_in_ms(), Some(0));
    assert!(matches!(next(&mut read, 1).await, Err(End::Expired)));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_verified_as_before_are_good() {
    let user = || [("a", Namespace { subscribe: Subscribe::User, ..public(LOG) })];
    let with = |tokens: Tokens| Keys::of([], tokens);
    let secret = || Tokens::of_secret(SECRET);
    let node = Node::with_keys(user(), with(secret()));
    let session = node.open(&alice()).unwrap();
    let mut read = session.follow(want(&["a:1"], From::Latest)).await.unwrap();
    node.control.replace(settings(user(), with(secret())));
    nothing(&mut read).await;
    assert!(session.may_read(&[channel("a:1")]).is_ok());
    let set = || Arc::new(KeySet::default());
    let other = [
        Tokens::none(),
        Tokens::of_secret(b"another secret of enough bytes"),
        secret().audience(Some("x".into())),
        secret().audience(Some(String::new())),
        secret().issuer(Some("x".into())),
        Tokens::of_set(set()),
        Tokens::of_set(set()),
    ];
    let all: Vec<_> = other.into_iter().map(with).chain([with(secret())]).collect();
    for (at, one) in all.iter().enumerate() {
        for (other_at, other) in all.iter().enumerate() {
            assert_eq!(one.accept_same_tokens(other), at == other_at, "{at} {other_at}");
        }
    }
    let shared = set();
    let [one, other] = [(); 2].map(|()| with(Tokens::of_set(shared.clone())));
    assert!(one.accept_same_tokens(&other));
    for keys in all.into_iter().take(7) {
        node.control.replace(settings(user(), keys));
        assert!(matches!(next(&mut read, 1).await, Err(End::Expired)));
        assert_eq!(session.may_read(&[channel("a:1")]).unwrap_err().code, Code::TokenExpired);
    }
    // What is sent anew is judged anew, and so is who was here.
    node.control.replace(settings(user(), with(secret())));
    assert!(session.may_read(&[channel("a:1")]).is_ok());
}
