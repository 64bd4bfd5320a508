//! Revocations over several nodes: one broker, one log of them.

use std::sync::Arc;

use serde_json::json;
use tidings_core::broker::{Broker, Memory};
use tidings_core::{Clock, Code, Credentials, Delivery, End, From, Whom};

use super::token::token;
use crate::node::{BEGAN_MS, Node, ROOM, next, public, want};

const NOW: u64 = BEGAN_MS / 1_000;

fn of(user: &str) -> Credentials {
    Credentials::Bearer(token(&json!({ "sub": user, "exp": NOW + 3_600 })))
}

#[tokio::test(start_paused = true)]
async fn every_node_of_a_broker_refuses_what_one_revokes() {
    let clock = Clock::simulated(BEGAN_MS);
    let broker: Arc<dyn Broker> = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
    let node = |incarnation| {
        let namespaces = [("default", public(Delivery::AtLeastOnce))];
        let node = Node::over(broker.clone(), clock.clone(), namespaces, 100, incarnation);
        node.control.follow_revocations();
        node
    };
    let (one, two) = (node(1), node(2));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let mut read = two.open(&of("alice")).unwrap().follow(want(&["x"], From::Latest)).await.unwrap();
    let mut bob = two.open(&of("bob")).unwrap().follow(want(&["x"], From::Latest)).await.unwrap();
    assert_eq!(read.expires_in_ms(), Some((NOW + 3_600) * 1_000 - clock.now_ms()));
    let revoked = one.backend().revoke(Whom::User("alice".into()), None).await.unwrap();
    assert_eq!((revoked.ended, revoked.until_ms), (0, clock.now_ms() + 30 * 86_400_000));
    assert!(matches!(next(&mut read, 1).await, Err(End::Expired)));
    assert_eq!(read.expires_in_ms(), Some(0));
    // And one that starts later.
    let three = node(3);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for node in [&one, &two, &three] {
        let refused = node.open(&of("alice")).err().unwrap();
        assert_eq!(refused.code, Code::TokenExpired);
        assert!(refused.detail.contains("revoked"), "{refused}");
        assert!(node.open(&of("bob")).is_ok());
    }
    one.publish("x", &["for bob"]).await;
    assert!(next(&mut bob, 1).await.is_ok());
    let refused = one.open(&of("bob")).unwrap().revoke(Whom::User("alice".into()), None).await;
    assert_eq!(refused.unwrap_err().code, Code::Forbidden);
}

/// A session that was opened before and reads after: no moment is left between the two.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_open_already_begins_no_read() {
    let node = Node::new([("default", public(Delivery::AtLeastOnce))]);
    let session = node.open(&of("alice")).unwrap();
    node.backend().revoke(Whom::User("alice".into()), None).await.unwrap();
    let mut read = session.follow(want(&["x"], From::Latest)).await.unwrap();
    assert!(matches!(next(&mut read, 1).await, Err(End::Expired)));
    assert_eq!(session.cut().await.code, Code::TokenExpired);
}
