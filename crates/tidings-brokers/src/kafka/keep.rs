//! Tidying up, and what must be said again before the servers let it go.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tidings_core::log::{Below, Retain, Rules};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::record::Body;
use super::shared::Shared;
use super::topic::{self, Shown};
use super::view::View;

/// While nobody is reached.
const PROBE_EVERY: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks at the clock between two at the topics.
const TOPICS_EVERY: u32 = 3;
/// And between two rounds of tidying.
const ROUND_EVERY: u32 = 20;
/// A partition that nobody asks for is read no longer.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Channels that are said again in one round.
const SAID_MAX: usize = 500;
/// What the servers keep of a topic whose settings cannot be read.
const KEEPS_MS: u64 = 7 * 24 * 3_600_000;
const WAIT_AFTER_DOUBT: Duration = Duration::from_millis(100);

/// Runs as long as the broker lives.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut looks = 0;
    loop {
        let Some(live) = shared.upgrade().map(|shared| shared.live.clone()) else { break };
        let is_down = shared.upgrade().is_some_and(|shared| shared.link.down().is_err());
        let pause = if is_down { PROBE_EVERY } else { LOOK_EVERY };
        let is_doubtful = tokio::select! {
            () = sleep(pause) => false,
            () = live.doubts.notified() => true,
        };
        let Some(shared) = shared.upgrade() else { break };
        if is_down {
            let _ = shared.link.ready().await;
            continue;
        }
        if is_doubtful {
            doubt(&shared).await;
            sleep(WAIT_AFTER_DOUBT).await;
            continue;
        }
        looks += 1;
        if looks % TOPICS_EVERY == 0 {
            look(&shared).await;
        }
        if looks % ROUND_EVERY == 0 {
            round(&shared).await;
        }
    }
}

/// Looks at every partition whether it is the one that it was.
async fn doubt(shared: &Arc<Shared>) {
    look(shared).await;
    for view in shared.views() {
        if view.is_another() {
            shared.end(&view, "its partition is another one");
        } else {
            let _ = shared.catch_up(&view).await;
        }
    }
}

/// Looks whether the topics are there, with as many partitions as before.
async fn look(shared: &Arc<Shared>) {
    for topic in shared.topics().await {
        match topic::shown(&shared.link, &topic.name).await {
            Ok(Shown::Absent) => shared.forget(&topic, "its topic was deleted").await,
            Ok(Shown::Led(partitions)) if partitions != topic.partitions => {
                shared.forget(&topic, "its topic has another number of partitions").await;
            }
            _ => {}
        }
    }
}

async fn round(shared: &Arc<Shared>) {
    let now_ms = shared.clock.now_ms();
    for view in shared.views() {
        let is_followed = view.with_all(|inside| {
            let mut is_followed = false;
            for chain in inside.chains.values_mut() {
                chain.expire(now_ms);
                chain.followers.retain(|follower: &mpsc::Sender<_>| !follower.is_closed());
                is_followed |= !chain.followers.is_empty();
            }
            is_followed
        });
        if !is_followed && view.used().elapsed() > IDLE_MAX {
            shared.end(&view, "nobody asked for it for some time");
        }
    }
    for topic in shared.topics().await {
        let keeps_ms = topic.keeps_ms.unwrap_or(KEEPS_MS);
        for view in shared.views().into_iter().filter(|view| view.topic == topic.name) {
            say_again(shared, &view, keeps_ms, now_ms).await;
        }
    }
}

/// Says again what the servers are about to let go: how channels are, and which life of the partition it is.
async fn say_again(shared: &Arc<Shared>, view: &Arc<View>, keeps_ms: u64, now_ms: u64) {
    // All nodes that read it do this; those that come later find it done.
    let own_half = getrandom::u64().map_or(0, |random| random % (keeps_ms / 4).max(1));
    let old = |written_ms: u64| written_ms.saturating_add(keeps_ms / 2 + own_half) < now_ms;
    let (log, is_quiet, rests) = view.with_all(|inside| {
        let rests: Vec<_> = inside
            .chains
            .iter()
            .filter(|(_, chain)| old(chain.said_ms))
            .filter_map(|(channel, chain)| Some((channel.clone(), chain.rest()?)))
            .take(SAID_MAX)
            .collect();
        (inside.log, old(inside.newest_ms), rests)
    });
    if log == 0 || view.is_over() {
        return;
    }
    for (channel, rest) in &rests {
        if shared.write(view, channel.as_str(), log, Body::Rest(*rest), &REST).await.is_err() {
            return;
        }
    }
    if is_quiet && rests.is_empty() {
        let _ = shared.write_begin(view, log, log).await;
    }
}

/// A record of this kind says nothing of rules.
const REST: Rules = Rules {
    retain: Retain { messages: 1, age_ms: 0 },
    compact: false,
    dedupe_ms: 0,
    below: Below::Oldest,
    implicit: true,
    durable: true,
};
