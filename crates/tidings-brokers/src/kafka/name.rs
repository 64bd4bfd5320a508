//! The names of topics: `PREFIX.NAMESPACE`, in the letters that a topic's name may have.

use std::fmt::Write;

/// A server's limit is 249.
const NAME_MAX: usize = 200;

/// The topic of a namespace. No two namespaces have the same.
pub(super) fn topic(prefix: &str, namespace: &str) -> String {
    let mut name = format!("{prefix}.");
    for byte in namespace.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "_{byte:02x}");
        }
    }
    if name.len() > NAME_MAX {
        use sha2::{Digest, Sha256};
        let hash = Sha256::digest(namespace.as_bytes());
        name.truncate(NAME_MAX - 34);
        name.push_str("_h");
        hash.iter().take(16).for_each(|byte| {
            let _ = write!(name, "{byte:02x}");
        });
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_namespaces_have_one_topic() {
        assert_eq!(topic("tidings", "chat"), "tidings.chat");
        assert_eq!(topic("tidings", "$presence"), "tidings._24presence");
        let long = "x.".repeat(120);
        let names = ["a", "a.", "a_2e", "A", "", "_", &long, &format!("{long}y")];
        let topics: std::collections::HashSet<_> = names.iter().map(|name| topic("p", name)).collect();
        assert_eq!(topics.len(), names.len());
        assert!(topics.iter().all(|topic| topic.len() <= NAME_MAX && !topic.is_empty()));
    }
}
