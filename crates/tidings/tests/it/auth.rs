//! Who may do what: credentials, rights, and the order in which a request is judged.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto, encode};
use serde_json::{Value, json};

use crate::node::{Call, KEY, SECRET, TestNode, now_ms, sign, token};
use crate::raw::Reply;

/// Every way to ask for something, as the path after which `?` and a query may follow.
const WAYS: [&str; 8] =
    ["poll", "long-poll", "sse", "websocket", "subscribe", "publish", "batch", "presence"];

/// Namespaces of each policy.
async fn node() -> TestNode {
    let rights = |subscribe, publish| {
        move |n: crate::node::Namespace| {
            n.set(&format!("subscribe = \"{subscribe}\"\npublish = \"{publish}\"\npresence = true"))
        }
    };
    TestNode::new()
        .namespace("public", rights("public", "server"))
        .namespace("user", rights("user", "user"))
        .namespace("token", rights("token", "token"))
        .namespace("default", rights("token", "token"))
        .run()
        .await
}

/// A request of a way to one channel, with this much more query.
fn ask(node: &TestNode, way: &str, channel: &str, query: &str) -> Call {
    let url = format!("/v1/channels/{channel}");
    let upgrade = |call: Call| {
        let call = call.header("connection", "Upgrade").header("upgrade", "websocket");
        call.header("sec-websocket-version", "13").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    match way {
        "poll" => node.get(&format!("{url}?{query}")),
        "long-poll" => node.get(&format!("{url}?wait=0.01&{query}")),
        "sse" => node.get(&format!("{url}?limit=1&{query}")).header("accept", "text/event-stream"),
        "websocket" => upgrade(node.get(&format!("{url}?{query}"))),
        "subscribe" => node.get(&format!("/v1/subscribe?channel={channel}&{query}")),
        "publish" => node.call("POST", &format!("{url}?{query}")).text("x"),
        "batch" => node
            .call("POST", &format!("/v1/publish?{query}"))
            .json(&json!({ "messages": [{ "channel": channel, "data": 1 }] })),
        "presence" => node.get(&format!("{url}/presence?{query}")),
        other => panic!("{other}"),
    }
}

/// A 401 of this code.
fn unauthorized(reply: &Reply, code: &str, about: &str) {
    let problem = reply.problem(401, code);
    assert_eq!(reply.header("www-authenticate"), "Bearer", "{about}: {problem}");
    assert_eq!(reply.header("cache-control"), "no-store", "{about}");
}

/// G43, on each way: each check hides all that come after it.
#[tokio::test]
async fn checks_come_in_their_order() {
    let node = node().await;
    let (bob, alice) = (token("bob", &[], &[]), token("alice", &["token:*"], &["token:*"]));
    for way in WAYS {
        let call = |channel, query| ask(&node, way, channel, query);
        if way != "batch" {
            call("a*b", "limit=x").bearer("bad").await.problem(400, "bad-channel");
            call("nowhere:1", "limit=x").bearer("bad").await.problem(404, "unknown-namespace");
            call("nowhere:1", "limit=x").await.problem(404, "unknown-namespace");
        }
        unauthorized(&call("token:1", "limit=x").bearer("bad").await, "bad-token", way);
        unauthorized(&call("token:1", "limit=x").await, "no-credentials", way);
        if way != "batch" {
            call("token:1", "limit=x&event=").bearer(&bob).await.problem(403, "forbidden");
        }
        match way {
            "presence" | "batch" => {}
            "publish" => drop(call("token:1", "event=").bearer(&alice).await.problem(400, "bad-event")),
            _ => drop(call("token:1", "limit=x").bearer(&alice).await.problem(400, "bad-query")),
        }
    }
    // No channel at all is a fault of the query, which is not looked at for a stranger.
    unauthorized(&node.get("/v1/subscribe").bearer("bad").await, "bad-token", "no channel");
    node.get("/v1/subscribe").bearer(&alice).await.problem(400, "bad-query");
    // A method and a path come before all of it.
    for path in ["/v1/channels/a*b?token=bad", "/v1/publish?token=bad", "/v1/subscribe?token=bad"] {
        node.call("PATCH", path).bearer("bad").await.problem(405, "method-not-allowed");
    }
    node.call("DELETE", "/v1/nothing?token=bad").bearer("bad").await.problem(404, "not-found");
    let body = node.post("/v1/channels/token:1?key=").header("content-type", "application/json");
    body.body("nonsense").await.problem(400, "bad-key");
    let body = node.post("/v1/channels/token:1").header("content-type", "application/json");
    body.body("nonsense").await.problem(400, "bad-json");
}

/// G44: what is sent must be valid, also where nothing is needed.
#[tokio::test]
async fn bad_credentials_are_refused_where_none_are_needed() {
    let node = node().await;
    let expired = sign(&json!({ "sub": "alice", "exp": now_ms() / 1_000 - 60 }));
    for way in WAYS {
        unauthorized(&ask(&node, way, "public:a", "").bearer("bad").await, "bad-token", way);
        unauthorized(&ask(&node, way, "public:a", "token=bad").await, "bad-token", way);
        unauthorized(&ask(&node, way, "public:a", "token=").await, "bad-token", way);
        unauthorized(&ask(&node, way, "public:a", "").bearer(&expired).await, "token-expired", way);
        unauthorized(&ask(&node, way, "public:a", &format!("token={expired}")).await, "token-expired", way);
        for header in ["Basic YTpi", "Bearer", "Bearer ", "bearer", "", "Bearer\u{e4}"] {
            let call = ask(&node, way, "public:a", "").header("authorization", header);
            unauthorized(&call.await, "bad-token", way);
        }
    }
    unauthorized(&node.get("/metrics").bearer("bad").await, "bad-token", "metrics");
    let call = node.call("HEAD", "/v1/channels/public:a").bearer("bad").await;
    assert_eq!((call.status, call.header("www-authenticate")), (401, "Bearer"));
}

/// G44: the header beats the query, and an API key does not belong there.
#[tokio::test]
async fn a_token_may_stand_in_the_url_and_an_api_key_may_not() {
    let node = node().await;
    let alice = token("alice", &["token:*"], &["token:*"]);
    for way in WAYS {
        let call = |query: &str| ask(&node, way, "token:a", query);
        let good = if way == "websocket" { 101 } else { 200 };
        let in_query = format!("token={alice}");
        if way != "websocket" && way != "sse" {
            assert_eq!(call(&in_query).await.status, good, "{way}");
            assert_eq!(call("token=bad").bearer(&alice).await.status, good, "{way}");
            assert_eq!(call(&format!("token={KEY}")).bearer(&alice).await.status, good, "{way}");
            let lower = call("").header("authorization", &format!("bEARER  {alice} "));
            assert_eq!(lower.await.status, good, "{way}");
        }
        unauthorized(&call(&in_query).bearer("bad").await, "bad-token", way);
        let refused = call(&format!("token={KEY}")).await;
        unauthorized(&refused, "bad-token", way);
        assert!(
            refused.text("detail").contains("API key") && !refused.body.contains(KEY),
            "{}",
            refused.body
        );
        // Of two, neither can be meant.
        let twice = call("").bearer(&alice).bearer(&alice);
        unauthorized(&twice.await, "bad-token", way);
        unauthorized(&call(&format!("{in_query}&{in_query}")).await, "bad-token", way);
    }
    for (query, credential) in [(format!("token={alice}"), None), ("token=bad".into(), Some(&*alice))] {
        let mut socket = node.socket_as(&format!("/v1/channels/token:a?{query}"), credential).await;
        socket.frame_with("subscribed").await;
        node.sse_as(&format!("/v1/channels/token:a?{query}"), credential).await.block().await;
    }
}

fn text(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// G45: the algorithm is that of the key, whatever a token says.
#[tokio::test]
async fn forged_tokens_are_refused() {
    let node = node().await;
    let exp = now_ms() / 1_000 + 60;
    let claims = json!({ "sub": "eve", "exp": exp, "tidings": { "subscribe": ["*"], "publish": ["*"] } });
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let hmac = |header: Value| {
        let message = text(&header, &claims, "");
        let message = message.trim_end_matches('.');
        let signature = crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    let good = sign(&claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut forged = vec![
        encode(&Header::new(Algorithm::HS384), &claims, &secret).unwrap(),
        encode(&Header::new(Algorithm::HS512), &claims, &secret).unwrap(),
        encode(&Header::default(), &claims, &EncodingKey::from_secret(b"another secret of enough bytes!!"))
            .unwrap(),
        format!("{signed}."),
        signed.to_owned(),
        format!("{good}."),
        hmac(json!({ "alg": "HS256", "typ": "JWT", "crit": ["exp2"], "exp2": 1 })),
    ];
    for alg in ["none", "None", "nOnE", "", "RS256", "ES256", "EdDSA", "PS256", "HS384", "hs256"] {
        let header = json!({ "alg": alg, "typ": "JWT" });
        forged.extend([text(&header, &claims, ""), text(&header, &claims, signature), hmac(header)]);
    }
    for forged in &forged {
        let call = node.get("/v1/channels/token:a").bearer(forged);
        unauthorized(&call.await, "bad-token", forged);
        let call = node.get(&format!("/v1/channels/token:a?token={forged}"));
        unauthorized(&call.await, "bad-token", forged);
    }
    node.get("/v1/channels/token:a").bearer(&good).await.ok();
    let ours = hmac(json!({ "alg": "HS256" }));
    node.get("/v1/channels/token:a").bearer(&ours).await.ok();
}

/// G45, and what a claim may be.
#[tokio::test]
async fn claims() {
    let node = node().await;
    let now = now_ms() / 1_000;
    let read = async |claims: Value| {
        let reply = node.get("/v1/channels/user:a").bearer(&sign(&claims)).await;
        if reply.status == 200 { "ok".to_owned() } else { reply.text("code") }
    };
    let exp = now + 60;
    for (claims, answer) in [
        (json!({ "exp": exp }), "ok"),
        (json!({ "exp": exp, "sub": null, "nbf": null, "tidings": null }), "ok"),
        (json!({ "exp": exp, "tidings": { "subscribe": null, "publish": null, "info": null } }), "ok"),
        (json!({ "exp": exp, "tidings": {}, "iss": "any", "aud": ["any"], "more": {} }), "ok"),
        (json!({ "exp": exp as f64 + 0.5 }), "ok"),
        // Longer ago than any clock may be wrong.
        (json!({ "exp": now - 6 }), "token-expired"),
        (json!({ "exp": now - 60 }), "token-expired"),
        (json!({ "exp": 0 }), "token-expired"),
        (json!({ "exp": exp, "nbf": now - 60 }), "ok"),
        (json!({ "exp": exp, "nbf": now + 7 }), "bad-token"),
        (json!({ "exp": exp, "nbf": now + 3_600 }), "bad-token"),
        (json!({ "sub": "alice" }), "bad-token"),
        (json!({ "exp": null }), "bad-token"),
        (json!({ "exp": exp.to_string() }), "bad-token"),
        (json!({ "exp": -1 }), "bad-token"),
        (json!({ "exp": exp, "nbf": "now" }), "bad-token"),
        (json!({ "exp": exp, "sub": 7 }), "bad-token"),
        (json!({ "exp": exp, "sub": ["alice"] }), "bad-token"),
        (json!({ "exp": exp, "tidings": "all" }), "bad-token"),
        (json!({ "exp": exp, "tidings": [["*"], ["*"], null] }), "bad-token"),
        (json!({ "exp": exp, "tidings": { "subscribe": "user:*" } }), "bad-token"),
        (json!({ "exp": exp, "tidings": { "subscribe": { "0": "user:*" } } }), "bad-token"),
        (json!({ "exp": exp, "tidings": { "publish": [7] } }), "bad-token"),
        (json!([exp]), "bad-token"),
    ] {
        assert_eq!(read(claims.clone()).await, answer, "{claims}");
    }
    // Without the claim a token is a user, who lists no channel.
    let bare = sign(&json!({ "sub": "alice", "exp": exp }));
    node.get("/v1/channels/token:a").bearer(&bare).await.problem(403, "forbidden");
}

/// What a namespace asks for, of nobody, a backend, a user, and a user whose token lists it.
#[tokio::test]
async fn policies() {
    let node = node().await;
    let credentials = [
        None,
        Some(KEY.to_owned()),
        Some(token("u", &[], &[])),
        Some(token("u", &["token:*", "lobby"], &["token:*", "public:*"])),
    ];
    for (channel, reads, writes) in [
        ("public:a", [200_u16, 200, 200, 200], [401_u16, 200, 403, 403]),
        ("user:a", [401, 200, 200, 200], [401, 200, 200, 200]),
        ("token:a", [401, 200, 403, 200], [401, 200, 403, 200]),
        ("lobby", [401, 200, 403, 200], [401, 200, 403, 403]),
    ] {
        for (at, credential) in credentials.iter().enumerate() {
            let call = |way| match credential {
                Some(credential) => ask(&node, way, channel, "").bearer(credential),
                None => ask(&node, way, channel, ""),
            };
            for way in ["poll", "long-poll", "subscribe", "presence"] {
                assert_eq!(call(way).await.status, reads[at], "{way} {channel} {at}");
            }
            for way in ["sse", "websocket"] {
                if reads[at] != 200 {
                    assert_eq!(call(way).await.status, reads[at], "{way} {channel} {at}");
                }
            }
            assert_eq!(call("publish").await.status, writes[at], "{channel} {at}");
            // In a batch only credentials are judged for the whole.
            let batch = call("batch").await;
            match writes[at] {
                401 => unauthorized(&batch, "no-credentials", channel),
                status => {
                    let result = batch.ok().json()["results"][0].clone();
                    assert_eq!(
                        result["error"]["status"].as_u64().unwrap_or(200),
                        u64::from(status),
                        "{result}"
                    );
                }
            }
            if reads[at] != 200 {
                continue;
            }
            let path = format!("/v1/channels/{channel}");
            let mut socket = node.socket_as(&path, credential.as_deref()).await;
            let answer = socket.ask(json!({ "data": 1 })).await;
            assert_eq!(answer["error"]["status"].as_u64().unwrap_or(200), u64::from(writes[at]), "{answer}");
        }
    }
}

/// G46.
#[tokio::test]
async fn patterns() {
    let node = node().await;
    let reads = async |pattern: &str, channel: &str| {
        let bearer = token("u", &[pattern], &[]);
        node.get(&format!("/v1/channels/{channel}")).bearer(&bearer).await.status == 200
    };
    for (pattern, channel) in [
        ("*", "token:a"),
        ("*", "lobby"),
        ("token:*", "token:a"),
        ("tok*", "token:a"),
        ("token:a", "token:a"),
    ] {
        assert!(reads(pattern, channel).await, "{pattern} {channel}");
    }
    for (pattern, channel) in [
        ("", "token:a"),
        ("token:a", "token:ab"),
        ("token:", "token:a"),
        ("token:ab*", "token:a"),
        ("*:a", "token:a"),
        ("token:*a", "token:a"),
        ("**", "token:a"),
        ("TOKEN:*", "token:a"),
        ("token:.", "token:a"),
        ("default:*", "lobby"),
    ] {
        assert!(!reads(pattern, channel).await, "{pattern} {channel}");
    }
}

/// G47.
#[tokio::test]
async fn several_channels_are_all_or_nothing() {
    let node = node().await;
    let alice = token("alice", &["token:mine"], &[]);
    let query = "channel=token:theirs&channel=user:a";
    for way in ["poll", "long-poll", "sse", "websocket"] {
        let mut call = ask(&node, way, "x", "");
        call.target = format!(
            "/v1/subscribe?channel=token:mine&{query}{}",
            if way == "long-poll" { "&wait=1" } else { "" }
        );
        let problem = call.bearer(&alice).await.problem(403, "forbidden");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`token:theirs`") && !detail.contains("token:mine"), "{detail}");
    }
    let stranger = node.get("/v1/subscribe?channel=public:a&channel=token:a").await;
    assert!(stranger.problem(401, "no-credentials")["detail"].as_str().unwrap().contains("`token:a`"));
    node.get("/v1/subscribe?channel=token:mine&channel=user:a").bearer(&alice).await.ok();
    // One that does not exist refuses all, too.
    let call = node.get("/v1/subscribe?channel=token:mine&channel=nowhere:a").bearer(&alice);
    call.await.problem(404, "unknown-namespace");
}

/// An API key may do what its rights say, with every channel, and is told what it lacks.
#[tokio::test]
async fn an_api_key_has_the_rights_it_needs() {
    let hash = |text: &str| {
        let sha256 = tidings_core::ApiKey::plain(text).sha256;
        sha256.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let keys = ["publish", "read", "administer"].map(|right| {
        let sha256 = hash(&format!("sk_{right}"));
        format!("{{ sha256 = \"{sha256}\", rights = [\"{right}\"] }}")
    });
    let node = TestNode::new().namespace("token", |n| n.set("subscribe = \"token\"\npresence = true"));
    let node = node.keys(&keys.join(", ")).run().await;
    for key in ["publish", "read", "administer"] {
        let credential = format!("sk_{key}");
        let metrics = || node.get("/metrics");
        let revoke = || node.call("POST", "/v1/revocations").json(&json!({ "user": "nobody" }));
        for (right, call) in [
            ("publish", ask(&node, "publish", "token:a", "")),
            ("read", ask(&node, "poll", "token:a", "")),
            ("read", ask(&node, "long-poll", "token:a", "")),
            ("read", ask(&node, "subscribe", "token:a", "")),
            ("read", ask(&node, "presence", "token:a", "")),
            ("administer", metrics()),
            ("administer", revoke()),
        ] {
            let reply = call.bearer(&credential).await;
            if right == key {
                reply.ok();
            } else {
                let problem = reply.problem(403, "forbidden");
                assert!(problem["detail"].as_str().unwrap().contains(&format!("`{right}`")), "{problem}");
            }
        }
        let batch = ask(&node, "batch", "token:a", "").bearer(&credential).await.ok().json();
        let status = batch["results"][0]["error"]["status"].as_u64().unwrap_or(200);
        assert_eq!(status, if key == "publish" { 200 } else { 403 }, "{batch}");
    }
    // The hash is no key.
    let reply = node.get("/metrics").bearer(&hash("sk_administer")).await;
    unauthorized(&reply, "bad-token", "the hash");
}
