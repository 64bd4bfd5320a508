//! A broker that is far away: what it is asked, and for how long anybody waits for it.

use std::time::Duration;

use tidings_core::{Code, Credentials, Error, From, Stored};
use tokio::time::{Instant, timeout};

use crate::node::{channel, draft, texts, want};
use crate::slow::{names, slow};

#[tokio::test(start_paused = true)]
async fn a_hundred_channels_are_not_a_hundred_waits() {
    let (slow, node) = slow(1_000);
    let names = names(100);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for name in &names {
        node.publish(name, &[&format!("{name}/1"), &format!("{name}/2")]).await;
    }
    slow.answers_after(100);
    slow.asked();
    let began = Instant::now();
    let mut subscription = node.follow(&names, From::Earliest).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?} for 100 starts", began.elapsed());
    let (asked, most) = slow.asked();
    assert_eq!(asked, 100);
    assert!((2..=16).contains(&most), "{most} at once: one request must not flood the broker");
    // In the order of the request, whoever answered first.
    let channels: Vec<_> = subscription.facts().iter().map(|fact| fact.channel.to_string()).collect();
    assert_eq!(channels, names);
    assert_eq!(texts(&mut subscription, 200).await.len(), 200);

    slow.asked();
    let began = Instant::now();
    let page = node.backend().read(want(&names, From::Earliest), 150).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?} for a page", began.elapsed());
    let (asked, most) = slow.asked();
    assert!(asked <= 300 && most <= 16, "{asked} calls, {most} at once");
    assert_eq!(page.messages.len(), 150);
    let order: Vec<_> = page.messages.iter().map(|message| message.channel.to_string()).collect();
    let mut sorted = order.clone();
    sorted.sort_by_key(|name| names.iter().position(|known| known == name));
    assert_eq!(order, sorted, "channel by channel, in the order of the request");
    let again = node.backend().read(want(&names, From::Earliest), 150).await.unwrap();
    assert_eq!(again.messages, page.messages, "the same question has the same answer");
    let rest = node.backend().read(want(&names, From::Cursor(page.cursor)), 150).await.unwrap();
    assert_eq!((rest.messages.len(), rest.more), (50, false));
}

#[tokio::test(start_paused = true)]
async fn a_channel_without_news_costs_a_page_nothing_more() {
    let (slow, node) = slow(1_000);
    let names = names(100);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let end = node.backend().read(want(&names, From::Latest), 100).await.unwrap().cursor;
    node.publish(names[70], &["m"]).await;
    slow.asked();
    let page = node.backend().read(want(&names, From::Cursor(end)), 100).await.unwrap();
    assert_eq!(page.messages.len(), 1);
    assert_eq!(slow.asked().0, 101, "a hundred starts and one read");
}

/// Design, invariant 4: every wait has a limit.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_broker() {
    let (slow, node) = slow(1_000);
    let mut open = node.follow(&["log:a"], From::Latest).await.unwrap();
    slow.answers_after(3_600_000);
    let backend = node.backend();
    let soon = Duration::from_secs(15);
    let told = |error: Error| (error.code, error.stored);
    let page = timeout(soon, backend.read(want(&["log:a"], From::Earliest), 10)).await.expect("a page");
    assert_eq!(page.map(drop).map_err(told), Err((Code::BrokerUnavailable, None)));
    let follow = timeout(soon, node.follow(&["log:a", "log:b"], From::Latest)).await.expect("a start");
    assert_eq!(follow.map(drop).map_err(told), Err((Code::BrokerUnavailable, None)));
    let roster = timeout(soon, backend.presence(&channel("log:a"))).await.expect("a roster");
    assert_eq!(roster.map(drop).map_err(told), Err((Code::BrokerUnavailable, None)));
    let writer = backend.writer(&channel("log:a")).unwrap();
    let stopped = timeout(soon, writer.append(vec![draft("m")])).await.expect("a publish").unwrap_err();
    assert_eq!(told(stopped.error), (Code::BrokerUnavailable, Some(Stored::Unknown)));
    assert!(stopped.stored.is_empty());
    // It was stored: only the answer is missing, and the feed has it.
    assert_eq!(texts(&mut open, 1).await, ["m"]);
    slow.answers_after(10);
    let anonymous = node.open(&Credentials::None).unwrap();
    assert_eq!(anonymous.read(want(&["log:a"], From::Earliest), 10).await.unwrap().messages.len(), 1);
}
