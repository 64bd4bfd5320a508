//! Polling: pages, what a cache must know, and when to ask again.

use serde_json::{Value, json};

use crate::node::{Namespace, TestNode};
use crate::raw::Reply;

const ORDERS: &str = "/v1/channels/orders:1";

fn data(page: &Reply) -> Vec<Value> {
    page.json()["messages"].as_array().unwrap().iter().map(|message| message["data"].clone()).collect()
}

#[tokio::test]
async fn a_page_states_all_that_it_promises() {
    let node = TestNode::new()
        .namespace("orders", |n| n)
        .namespace("ticks", |n| n.at_most_once().set("subscribe = \"user\""))
        .run()
        .await;
    let empty = node.get(ORDERS).await.ok();
    let cursor = empty.text("cursor");
    assert_eq!(cursor.len(), 32);
    assert_eq!(
        empty.body,
        format!(r#"{{"messages":[],"cursor":"{cursor}","gap":null,"delivery":"at-least-once"}}"#)
    );
    assert_eq!(empty.header("content-type"), "application/json");
    assert_eq!(empty.header("tidings-delivery"), "at-least-once");
    assert_eq!(empty.header("cache-control"), "no-cache");
    assert_eq!(empty.header("vary"), "Accept, Authorization, Last-Event-ID");
    assert_eq!(empty.header("etag"), format!("W/\"{cursor}.0\""));
    assert!(empty.header("tidings-poll-after").parse::<f64>().unwrap() > 0.0);
    let private = node.get("/v1/channels/ticks:1").bearer(crate::node::KEY).await.ok();
    assert!(private.header("cache-control").contains("private"));
    assert_eq!(private.text("delivery"), "at-most-once");
    let both = node.get("/v1/subscribe?channel=orders:1&channel=ticks:1").bearer(crate::node::KEY).await.ok();
    assert_eq!(both.header("tidings-delivery"), "at-most-once", "the weakest of them");
}

/// A10, C19: pages of `limit`, and a page below it has reached the end.
#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let node = TestNode::usual().await;
    let batch = (0..250).map(|n| json!({"channel": "orders:1", "data": n})).collect::<Vec<_>>();
    node.post("/v1/publish").json(&json!({ "messages": batch })).await.ok();
    let (mut after, mut all, mut pages) = (String::from("earliest"), Vec::new(), Vec::new());
    loop {
        let page = node.get(&format!("{ORDERS}?after={after}")).await.ok();
        after = page.text("cursor");
        let more = page.header("tidings-poll-after") == "0";
        pages.push(data(&page).len());
        all.extend(data(&page));
        if !more {
            break;
        }
    }
    assert_eq!(pages, [100, 100, 50]);
    assert_eq!(all, (0..250).map(|n| json!(n)).collect::<Vec<_>>());
    assert_eq!(data(&node.get(&format!("{ORDERS}?limit=7")).await).len(), 7);
    assert_eq!(data(&node.get(&format!("{ORDERS}?limit=99999999999999999999")).await).len(), 250);
    // 19b.
    assert_eq!(data(&node.get(&format!("{ORDERS}?last=120")).await).len(), 120);
    assert_eq!(data(&node.get(&format!("{ORDERS}?last=5&limit=2")).await), [json!(245), json!(246)]);
    assert_eq!(data(&node.get(&format!("{ORDERS}?last=99999999999999999999")).await).len(), 250);
    let none = node.get(&format!("{ORDERS}?last=0")).await.ok();
    assert_eq!((data(&none).len(), none.text("cursor")), (0, after));
}

#[tokio::test]
async fn wrong_queries_name_the_parameter() {
    let node = TestNode::usual().await;
    for query in [
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.5",
        "last=-1",
        "last=x",
        "last=1&after=latest",
        "wait=0",
        "wait=-1",
        "wait=x",
        "wait=NaN",
        "wait=",
        "limit=1&limit=2",
    ] {
        let problem = node.get(&format!("{ORDERS}?{query}")).await.problem(400, "bad-query");
        let name = query.split('=').next().unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(name), "{query}: {problem}");
    }
    for after in ["", "x", "Earliest", &"A".repeat(31), &"A".repeat(33), &"+".repeat(32)] {
        node.get(&format!("{ORDERS}?after={after}")).await.problem(400, "bad-cursor");
    }
    node.get(&format!("{ORDERS}?unknown=1")).await.ok();
}

/// C18.
#[tokio::test]
async fn what_is_known_is_a_304() {
    let node = TestNode::usual().await;
    node.publish("orders:1", 1).await;
    let page = node.get(ORDERS).await.ok();
    let etag = page.header("etag").to_owned();
    assert_eq!(etag, format!("W/\"{}.1\"", page.text("cursor")));
    let ask = |target: String, tag: &str| node.get(&target).header("if-none-match", tag);
    let same = ask(ORDERS.into(), &etag).await;
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    assert_eq!(same.header("etag"), etag);
    assert!(same.header("tidings-poll-after").parse::<f64>().is_ok());
    assert_eq!(same.header("tidings-delivery"), "at-least-once");
    // The page after it is empty, and its cursor the same.
    let next = format!("{ORDERS}?after={}", page.text("cursor"));
    assert_eq!(ask(next.clone(), &etag).await.status, 304);
    for tag in ["W/\"x.1\"", "\"\"", "nonsense"] {
        assert_eq!(ask(next.clone(), tag).await.status, 200, "{tag}");
    }
    // Comparison is weak (RFC 9110, 13.1.2), and of a list.
    assert_eq!(ask(next.clone(), &format!("\"a\", {}", &etag[2..])).await.status, 304);
    assert_eq!(ask(format!("{next}&wait=0.05"), &etag).await.status, 200, "ignored with `wait`");
    node.publish("orders:1", 2).await;
    assert_eq!(data(&ask(next, &etag).await.ok()), [2]);
    assert_eq!(data(&ask(ORDERS.into(), &etag).await.ok()).len(), 2);
}

/// B14: a page reports at most one gap, before its messages; further ones follow on the next pages.
#[tokio::test]
async fn gaps_come_one_a_page() {
    let node = TestNode::new().namespace("orders", |n| n.retain(5)).run().await;
    let names = ["orders:a", "orders:b", "orders:c"];
    let mut firsts = Vec::new();
    for name in names {
        firsts.push(node.publish(name, 0).await);
    }
    for n in 1..12 {
        for name in names {
            node.publish(name, n).await;
        }
    }
    let one = node.get(&format!("/v1/channels/orders:a?after={}", firsts[0])).await.ok().json();
    assert_eq!(one["gap"]["after"], firsts[0]);
    assert_eq!(one["gap"]["channel"], "orders:a");
    assert_eq!((&one["gap"]["why"], &one["gap"]["missed"]), (&json!("expired"), &json!(6)));
    assert_eq!(one["messages"][0]["data"], 7);
    let target = "/v1/subscribe?channel=orders:a&channel=orders:b&channel=orders:c&limit=6&after=";
    let (mut after, mut gaps, mut got) = (firsts.concat(), Vec::new(), Vec::new());
    for _ in 0..12 {
        let page = node.get(&format!("{target}{after}")).await.ok();
        after = page.text("cursor");
        let page_json = page.json();
        if let Some(channel) = page_json["gap"]["channel"].as_str() {
            gaps.push(channel.to_owned());
        }
        for message in page_json["messages"].as_array().unwrap() {
            let name = message["channel"].as_str().unwrap();
            assert!(gaps.iter().any(|gap| gap == name), "a message of {name} before its gap");
            got.push((name.to_owned(), message["data"].as_u64().unwrap()));
        }
        if page.header("tidings-poll-after") != "0" {
            break;
        }
    }
    gaps.sort();
    assert_eq!(gaps, names, "each is told once");
    for name in names {
        let of_name: Vec<_> = got.iter().filter(|(one, _)| one == name).map(|(_, n)| *n).collect();
        assert_eq!(of_name, [7, 8, 9, 10, 11]);
    }
}

/// B15: what compaction removed is no gap.
#[tokio::test]
async fn a_compacted_channel_gives_its_present_state() {
    let node = TestNode::new().namespace("state", |n| n.set("compact = \"latest-per-key\"")).run().await;
    let put = async |key: &str, n: u64| {
        let post = node.post(&format!("/v1/channels/state:1?key={key}"));
        post.json(&json!(n)).await.ok().text("cursor")
    };
    let first = put("a", 1).await;
    put("b", 2).await;
    put("a", 3).await;
    assert_eq!(data(&node.get("/v1/channels/state:1").await), [2, 3]);
    let page = node.get(&format!("/v1/channels/state:1?after={first}")).await.ok();
    assert_eq!((data(&page), page.json()["gap"].clone()), (vec![json!(2), json!(3)], Value::Null));
}

/// A12: without `retain`, an at-most-once channel keeps a tail of a hundred.
#[tokio::test]
async fn an_at_most_once_channel_keeps_a_short_tail() {
    let node = TestNode::new().namespace("ticks", Namespace::at_most_once).run().await;
    let batch = (0..150).map(|n| json!({"channel": "ticks:1", "data": n})).collect::<Vec<_>>();
    let results = node.post("/v1/publish").json(&json!({ "messages": batch })).await.ok().json();
    let cursor = |n: usize| results["results"][n]["cursor"].as_str().unwrap().to_owned();
    assert_eq!(data(&node.get("/v1/channels/ticks:1?limit=1000").await).len(), 100);
    let inside = node.get(&format!("/v1/channels/ticks:1?after={}&limit=200", cursor(49))).await.ok();
    assert_eq!((data(&inside).len(), &inside.json()["gap"]), (100, &Value::Null));
    let below = node.get(&format!("/v1/channels/ticks:1?after={}", cursor(48))).await.ok().json();
    assert_eq!((&below["gap"]["why"], &below["gap"]["missed"]), (&json!("lagged"), &json!(101)));
    assert_eq!((below["messages"].clone(), &below["cursor"]), (json!([]), &json!(cursor(149))));
    assert_eq!(below["gap"]["until"], cursor(149));
}
