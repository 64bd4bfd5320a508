//! What every broker must do, as one suite that runs against any of them.
//!
//! A case that the broker's own [`Promise`] excludes is printed by name. The
//! suite waits by tokio's time: start it paused where the broker does no I/O,
//! and it takes no time; against a server it takes some seconds. Each set of
//! rules has a namespace of its own, and each run its own names, so that a
//! server which keeps data between runs can be used again.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a suite of tests: it panics and prints")]

mod close;
mod find;
mod follow;
mod idempotency;
mod life;
mod order;
mod pace;
mod retention;
mod subject;
mod terms;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Broker, Promise};
use crate::clock::Clock;
use subject::Suite;

/// One case: its name, what a promise must have for it, and what it does.
struct Case {
    name: &'static str,
    needs: Need,
    run: fn(&Suite) -> BoxFuture<'_, ()>,
}

/// What a broker must promise for a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    ExactRetention,
}

/// No case may wait longer.
const CASE_MAX: Duration = Duration::from_secs(60);

macro_rules! cases {
    ($($needs:ident: $module:ident::$name:ident,)*) => {
        [$(Case { name: stringify!($name), needs: Need::$needs, run: |suite| Box::pin($module::$name(suite)) },)*]
    };
}

const CASES: [Case; 48] = cases![
    Nothing: order::what_is_stored_comes_back_as_it_was,
    Nothing: order::messages_keep_their_order,
    Nothing: order::an_append_that_is_dropped_leaves_a_prefix,
    Nothing: order::each_writer_keeps_its_order,
    Nothing: order::two_channels_do_not_mix,
    Nothing: idempotency::a_key_is_stored_once,
    Nothing: idempotency::a_key_is_of_its_channel,
    Nothing: idempotency::a_key_twice_in_one_append_is_stored_once,
    Nothing: idempotency::a_key_is_forgotten_after_its_window,
    Nothing: idempotency::a_stream_can_be_sent_again_whole,
    Nothing: idempotency::an_id_is_the_same_alone_and_in_a_stream,
    Nothing: idempotency::the_key_of_a_stream_is_no_id,
    Nothing: idempotency::each_message_renews_its_stream,
    Nothing: idempotency::a_key_sent_twice_at_once_is_stored_once,
    Nothing: idempotency::a_stream_sent_twice_at_once_is_stored_once,
    Nothing: idempotency::a_second_request_waits_for_the_first,
    Nothing: idempotency::a_second_request_outlives_the_first,
    Nothing: find::an_empty_channel_has_a_place,
    Nothing: find::each_start_is_found,
    Nothing: find::last_gives_what_there_is,
    Nothing: find::a_place_beyond_the_end_is_of_another_epoch,
    Nothing: find::a_place_of_another_epoch_is_a_gap,
    Nothing: find::an_unreadable_place_is_a_gap,
    Nothing: find::at_most_once_goes_on_at_the_end,
    Nothing: find::pages_keep_their_limits,
    Nothing: find::the_end_of_the_log_is_an_empty_page,
    Nothing: follow::a_tail_has_what_comes_after_its_place,
    Nothing: follow::every_tail_has_everything,
    Nothing: follow::history_joins_live_without_a_hole,
    Nothing: follow::a_slow_tail_ends_or_keeps_all,
    Nothing: follow::reads_reach_the_place_of_a_tail,
    ExactRetention: retention::the_oldest_go_beyond_the_count,
    ExactRetention: retention::the_oldest_go_beyond_the_age,
    ExactRetention: retention::an_expired_log_keeps_its_end,
    Nothing: retention::compaction_keeps_the_newest_of_each_key,
    ExactRetention: retention::retention_of_a_compacted_log_is_a_gap,
    ExactRetention: retention::at_most_once_skips_to_now,
    Nothing: retention::at_most_once_resumes_inside_the_tail,
    Nothing: close::nothing_follows_an_end,
    Nothing: close::a_page_says_where_the_log_ends,
    Nothing: close::a_tail_gives_the_end,
    ExactRetention: close::retention_does_not_lose_the_end,
    ExactRetention: close::at_most_once_skips_to_the_end,
    Nothing: terms::a_first_message_creates_where_it_may,
    ExactRetention: terms::terms_hold_in_place_of_rules,
    Nothing: terms::deleting_begins_a_new_epoch,
    Nothing: terms::a_channel_ends_with_its_time_to_live,
    Nothing: life::the_broker_is_ready,
];

impl Need {
    /// Why a promise excludes the case.
    fn missing(self, promise: &Promise) -> Option<&'static str> {
        match self {
            Need::ExactRetention if !promise.exact_retention => Some("its retention is not exact"),
            Need::Nothing | Need::ExactRetention => None,
        }
    }
}

/// Runs every case against the brokers of a factory, one broker at a time.
///
/// The factory is called once for most cases and once more for a second life:
/// where the promise says that logs survive a restart it must open the same
/// store again, else one that never shares an epoch with the first. Panics at
/// the first case that fails.
pub async fn run<F, Fut, B>(factory: F)
where
    F: Fn(Clock) -> Fut,
    Fut: Future<Output = B>,
    B: Broker,
{
    let clock = Clock::simulated(Clock::system().now_ms());
    let suite = Suite::new(Arc::new(factory(clock.clone()).await));
    let promise = suite.broker.promise();
    for case in &CASES {
        match case.needs.missing(&promise) {
            Some(why) => say(&promise, case.name, &format!("skipped: {why}")),
            None => {
                let limited = tokio::time::timeout(CASE_MAX, (case.run)(&suite)).await;
                let verdict = if limited.is_ok() { "holds" } else { "DOES NOT END" };
                say(&promise, case.name, verdict);
                assert!(limited.is_ok(), "{}: {} did not end", promise.kind, case.name);
            }
        }
    }
    let mut before = life::Before::remember(suite).await;
    let second = Suite::new(Arc::new(factory(clock).await));
    let lives = [
        ("a_tail_ends_or_lives_on_after_a_restart", true, ""),
        ("what_was_stored_outlives_a_restart", promise.survives_restart, "a restart loses it"),
        (
            "keys_outlive_a_restart",
            promise.survives_restart && promise.shared_idempotency,
            "keys live with the process",
        ),
        ("a_new_life_is_a_new_epoch", !promise.survives_restart, "a restart keeps its logs"),
    ];
    for (name, applies, why) in lives {
        if !applies {
            say(&promise, name, &format!("skipped: {why}"));
            continue;
        }
        match name {
            "a_tail_ends_or_lives_on_after_a_restart" => before.tail_tells_the_truth(&second).await,
            "what_was_stored_outlives_a_restart" => before.is_there(&second).await,
            "keys_outlive_a_restart" => before.keys_hold(&second).await,
            _ => before.is_an_epoch_ago(&second).await,
        }
        say(&promise, name, "holds");
    }
}

fn say(promise: &Promise, case: &str, verdict: &str) {
    println!("conformance: {}: {case}: {verdict}", promise.kind);
}
