//! The configuration of a stream, as the server has it.

use serde_json::{Value, json};
use tidings_core::log::Rules;

use super::name::Names;

/// Records of a channel that are no messages it keeps: its end, notes, what has expired by number.
pub(super) const SPARE: u64 = 16;
/// A key of its metadata.
const LOSSES: &str = "tidings-losses";
/// A server takes no shorter window.
const WINDOW_MIN_MS: u64 = 100;
const NANOS: u64 = 1_000_000;

/// Makes it that of a stream of this broker. What else its owner has set stays, its limits above all.
pub(super) fn set(config: &mut Value, names: &Names, namespace: &str, rules: &Rules) {
    config["subjects"] = json!([names.all(namespace)]);
    config["allow_direct"] = true.into();
    config["allow_rollup_hdrs"] = true.into();
    config["allow_msg_ttl"] = true.into();
    config["deny_purge"] = false.into();
    config["deny_delete"] = false.into();
    // A stream that is full refuses; it drops nobody's messages.
    config["discard"] = "new".into();
    config["duplicate_window"] = rules.dedupe_ms.max(WINDOW_MIN_MS).saturating_mul(NANOS).into();
    config["republish"] = json!({ "src": names.channels(namespace), "dest": names.lives(namespace) });
    let wants = rules.retain.messages.saturating_add(SPARE);
    // Compaction keeps its own count. A channel created by name may need more than the others.
    config["max_msgs_per_subject"] = match per_channel(config) {
        _ if rules.compact => json!(-1),
        u64::MAX => json!(wants),
        has => json!(has.max(wants)),
    };
}

/// How often the stream lost its newest records.
pub(super) fn losses(config: &Value) -> u64 {
    config["metadata"][LOSSES].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Notes that it did once more.
pub(super) fn count_loss(config: &mut Value) {
    let losses = losses(config).saturating_add(1).to_string();
    let metadata = config.as_object_mut().map(|config| config.entry("metadata").or_insert(json!({})));
    if let Some(Value::Object(metadata)) = metadata {
        metadata.insert(LOSSES.into(), losses.into());
    }
}

/// How many records of a channel it keeps.
pub(super) fn per_channel(config: &Value) -> u64 {
    config["max_msgs_per_subject"].as_u64().filter(|most| *most > 0).unwrap_or(u64::MAX)
}
