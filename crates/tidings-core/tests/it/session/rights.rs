//! Who may read and write what.

use tidings_core::{
    ApiKey, Code, Credentials, Delivery, From, Identity, Keys, Namespace, Publish, Rights, Subscribe, Tokens,
};

use super::token::of_user;
use crate::node::{API_KEY, Node, channel, draft, public, texts, want};

fn node() -> Node {
    let namespace =
        |subscribe, publish| Namespace { subscribe, publish, ..Namespace::new(Delivery::AtLeastOnce) };
    Node::new([
        ("public", namespace(Subscribe::Public, Publish::Server)),
        ("user", namespace(Subscribe::User, Publish::User)),
        ("token", namespace(Subscribe::Token, Publish::Token)),
        ("default", Namespace::new(Delivery::AtLeastOnce)),
    ])
}

/// What each of a nobody, a backend, a user without rights and a user with patterns is told.
fn each(
    node: &Node,
    check: impl Fn(&tidings_core::Session, &str) -> Option<Code>,
    name: &str,
) -> [Option<Code>; 4] {
    let credentials = [
        Credentials::None,
        Credentials::Bearer(API_KEY.into()),
        of_user("u", &[], &[]),
        of_user("u", &["token:a*", "user:*", "default-a"], &["token:a*", "public:*"]),
    ];
    credentials.map(|credentials| check(&node.open(&credentials).unwrap(), name))
}

#[tokio::test(start_paused = true)]
async fn reading() {
    const NO: Option<Code> = Some(Code::Forbidden);
    const WHO: Option<Code> = Some(Code::NoCredentials);
    let node = node();
    let read =
        |name| each(&node, |session, name| session.may_read(&[channel(name)]).err().map(|e| e.code), name);
    assert_eq!(read("public:x"), [None, None, None, None]);
    assert_eq!(read("user:x"), [WHO, None, None, None]);
    assert_eq!(read("token:a"), [WHO, None, NO, None]);
    assert_eq!(read("token:abc"), [WHO, None, NO, None]);
    assert_eq!(read("token:b"), [WHO, None, NO, NO]);
    assert_eq!(read("default-a"), [WHO, None, NO, None]);
    assert_eq!(read("default-ab"), [WHO, None, NO, NO], "without a star a pattern is the name");
    assert_eq!(read("nowhere:x"), [Some(Code::UnknownNamespace); 4]);
}

#[tokio::test(start_paused = true)]
async fn writing() {
    const NO: Option<Code> = Some(Code::Forbidden);
    const WHO: Option<Code> = Some(Code::NoCredentials);
    let node = node();
    let write =
        |name| each(&node, |session, name| session.writer(&channel(name)).err().map(|e| e.code), name);
    assert_eq!(write("public:x"), [WHO, None, NO, NO], "patterns do not help where the server alone writes");
    assert_eq!(write("user:x"), [WHO, None, None, None]);
    assert_eq!(write("token:a"), [WHO, None, NO, None]);
    assert_eq!(write("token:b"), [WHO, None, NO, NO]);
    assert_eq!(write("default-a"), [WHO, None, NO, NO]);
    assert_eq!(write("nowhere:x"), [Some(Code::UnknownNamespace); 4]);
    let administer = each(&node, |session, _| session.may_administer().err().map(|e| e.code), "");
    assert_eq!(administer, [WHO, None, NO, NO]);
}

#[tokio::test(start_paused = true)]
async fn patterns() {
    let node = node();
    let covers = |pattern: &str, name: &str| {
        let session = node.open(&of_user("u", &[pattern], &[])).unwrap();
        session.may_read(&[channel(name)]).is_ok()
    };
    assert!(covers("*", "token:x") && covers("*", "lobby"));
    assert!(covers("token:*", "token:x") && covers("token:*", "token:") && covers("tok*", "token:x"));
    assert!(!covers("", "token:x") && !covers("token:", "token:x") && !covers("token:x:*", "token:x"));
    assert!(!covers("*:x", "token:x"), "elsewhere a star is a character");
    assert!(!covers("token:*x", "token:yx") && !covers("**", "token:x") && !covers("token:.*", "token:x"));
    assert!(!covers("TOKEN:*", "token:x"));
}

#[tokio::test(start_paused = true)]
async fn many_channels_are_all_or_nothing() {
    let node = node();
    let session = node.open(&of_user("u", &["token:a"], &[])).unwrap();
    let names = ["public:x", "token:a", "token:secret", "user:x"];
    for error in [
        session.read(want(&names, From::Earliest), 10).await.map(|_| ()).unwrap_err(),
        session.follow(want(&names, From::Earliest)).await.map(|_| ()).unwrap_err(),
        session.may_read(&names.map(channel)).unwrap_err(),
    ] {
        assert_eq!(error.code, Code::Forbidden);
        assert!(error.detail.contains("token:secret"), "{error}");
    }
    assert_eq!(node.control.feeds(), 0, "nothing began");
    assert!(node.hub.is_private(&names.map(channel)));
    assert!(!node.hub.is_private(&[channel("public:x")]));
}

#[tokio::test(start_paused = true)]
async fn rights_come_before_the_query() {
    let node = node();
    let session = node.open(&of_user("u", &[], &[])).unwrap();
    let cursor = node.backend().read(want(&["user:x"], From::Latest), 1).await.unwrap().cursor;
    let error = session.read(want(&["token:secret"], From::Cursor(cursor)), 1).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code, Code::Forbidden, "not bad-cursor: 403 comes before 400");
    let many: Vec<_> = (0..101).map(|n| format!("token:{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let error = session.read(want(&many, From::Latest), 1).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code, Code::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_from_the_tokens_user_and_no_one_else() {
    let node = node();
    let claimed = || vec![tidings_core::log::Draft { from: Some("admin".into()), ..draft("m") }];
    for (credentials, from) in [
        (of_user("u1", &[], &[]), Some("u1")),
        (Credentials::Bearer(API_KEY.into()), None),
        (of_user("", &[], &[]), None),
    ] {
        let session = node.open(&credentials).unwrap();
        session.writer(&channel("user:x")).unwrap().append(claimed()).await.unwrap();
        let page = session.read(want(&["user:x"], From::Last(1)), 1).await.unwrap();
        assert_eq!(page.messages[0].from.as_deref(), from);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_has_a_largest_size() {
    let node = Node::new([("default", public(Delivery::AtLeastOnce))]);
    let mut large = draft("large");
    large.payload.bytes = vec![b'x'; (1 << 20) + 1].into();
    let mut largest = draft("largest");
    largest.payload.bytes = vec![b'x'; 1 << 20].into();
    let stopped = node.try_publish("a", vec![largest.clone(), large]).await.unwrap_err();
    assert_eq!(stopped.error.code, Code::TooLarge);
    assert!(stopped.stored.is_empty());
    let mut subscription = node.follow(&["a"], From::Earliest).await.unwrap();
    node.try_publish("a", vec![largest]).await.unwrap();
    assert_eq!(texts(&mut subscription, 1).await[0].len(), 1 << 20);
    let ids: std::collections::HashSet<_> =
        (0..1_000).map(|_| node.backend().writer(&channel("a")).unwrap().new_id()).collect();
    assert!(ids.len() == 1_000 && ids.iter().all(|id| id.len() == 20));
}

#[tokio::test(start_paused = true)]
async fn an_api_key_may_do_what_its_rights_say() {
    const NONE: Rights = Rights { publish: false, read: false, administer: false };
    let key = |name: &str, rights| ApiKey { rights, name: Some(name.into()), ..ApiKey::plain(name) };
    let keys = Keys::of(
        [
            key("publisher", Rights { publish: true, ..NONE }),
            key("reader", Rights { read: true, ..NONE }),
            key("operator", Rights { administer: true, ..NONE }),
            key("root", Rights::ALL),
        ],
        Tokens::none(),
    );
    let namespace = |subscribe| Namespace { subscribe, ..Namespace::new(Delivery::AtLeastOnce) };
    let namespaces = [("default", namespace(Subscribe::Token)), ("public", namespace(Subscribe::Public))];
    let node = Node::with_keys(namespaces, keys);
    for (name, publish, read, administer) in [
        ("publisher", true, false, false),
        ("reader", false, true, false),
        ("operator", false, false, true),
        ("root", true, true, true),
    ] {
        let session = node.open(&Credentials::Bearer(name.into())).unwrap();
        let Identity::Backend(backend) = session.identity() else { panic!("{name}") };
        assert_eq!(backend.name.as_deref(), Some(name));
        let checks = [
            ("publish", publish, session.writer(&channel("x")).err()),
            ("read", read, session.may_read(&[channel("x")]).err()),
            ("administer", administer, session.may_administer().err()),
        ];
        for (right, may, error) in checks {
            assert_eq!(error.is_none(), may, "{name} {right}");
            if let Some(error) = error {
                assert_eq!(error.code, Code::Forbidden);
                assert!(error.detail.contains(&format!("`{right}`")), "{error}");
            }
        }
        assert!(session.may_read(&[channel("public:x")]).is_ok(), "what anybody may read");
    }
    assert_eq!(node.open(&Credentials::Bearer("nobody".into())).err().map(|e| e.code), Some(Code::BadToken));
}
