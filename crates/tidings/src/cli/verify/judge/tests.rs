//! The judge, on lists of a few events.

use super::*;

fn sent(count: usize) -> Vec<Sent> {
    let message = |number: u32| Sent { began_ms: number * 1_000, tries: 1, is_acknowledged: true };
    (1..).map(message).take(count).collect()
}

/// A message a second, each with a cursor of its own.
fn message(number: u32) -> Heard {
    Heard::Message { number, place: u64::from(number), at_ms: number * 1_000 }
}

fn gap(why: Why, missed: Option<u32>, at_ms: u32) -> Heard {
    Heard::Gap { why, missed, text: u64::from(at_ms), at_ms }
}

fn durable(sent: &[Sent]) -> Channel<'_> {
    let until = u32::try_from(sent.len()).unwrap() + 1;
    Channel { is_durable: true, sent, until, kept: None, node: None }
}

fn loose(sent: &[Sent]) -> Channel<'_> {
    Channel { is_durable: false, ..durable(sent) }
}

fn forgets(restarts_ms: &[u32]) -> Lives {
    let restarts = restarts_ms.iter().map(|told_ms| Restart { told_ms: *told_ms, gone_ms: told_ms + 100 });
    Lives { restarts: restarts.collect(), forgets: true }
}

#[test]
fn all_in_order_is_nothing_to_say() {
    let sent = sent(4);
    let verdict = judge(&durable(&sent), &[1, 2, 3, 4].map(message));
    assert_eq!(verdict, Verdict { silence_ms: 1_000, ..Verdict::default() });
}

#[test]
fn what_is_missing_without_a_gap_is_lost() {
    let sent = sent(5);
    for channel in [durable(&sent), loose(&sent)] {
        assert_eq!(judge(&channel, &[1, 2, 4, 5].map(message)).lost, 1);
        assert_eq!(judge(&channel, &[1, 2].map(message)).lost, 3, "at the end");
        assert_eq!(judge(&channel, &[3, 4, 5].map(message)).lost, 2, "at the beginning");
        assert_eq!(judge(&channel, &[]).lost, 5);
    }
}

#[test]
fn what_has_no_200_or_is_under_way_is_not_lost() {
    let mut sent = sent(5);
    sent[1].is_acknowledged = false;
    assert_eq!(judge(&durable(&sent), &[1, 3, 4, 5].map(message)).lost, 0);
    let channel = Channel { until: 4, ..durable(&sent) };
    assert_eq!(judge(&channel, &[1, 3].map(message)).lost, 0);
}

#[test]
fn a_cursor_that_comes_again_is_removed_and_another_one_is_not() {
    let sent = sent(3);
    let again = Heard::Message { number: 2, place: 99, at_ms: 0 };
    let verdict = judge(&durable(&sent), &[message(1), message(2), message(2), again, message(3)]);
    assert_eq!((verdict.wire_repeats, verdict.repeats, verdict.disorder), (1, 1, 0));
}

#[test]
fn at_most_once_may_bring_twice_what_was_sent_twice() {
    let mut sent = sent(3);
    sent[1].tries = 2;
    let heard = [message(1), message(2), message(3), Heard::Message { number: 2, place: 99, at_ms: 0 }];
    let verdict = judge(&loose(&sent), &heard);
    assert_eq!((verdict.stored_again, verdict.repeats, verdict.disorder), (1, 0, 0));
    assert_eq!(judge(&durable(&sent), &heard).repeats, 1);
}

#[test]
fn a_later_one_first_is_disorder_and_no_loss() {
    let sent = sent(4);
    let verdict = judge(&durable(&sent), &[1, 3, 2, 4].map(message));
    assert_eq!((verdict.disorder, verdict.lost), (1, 0));
}

#[test]
fn a_gap_that_covers_what_is_missing_is_true() {
    let sent = sent(5);
    let heard = |missed| [message(1), gap(Why::Expired, missed, 1), message(4), message(5)];
    for missed in [None, Some(2)] {
        let verdict = judge(&durable(&sent), &heard(missed));
        assert_eq!((verdict.lost, verdict.gaps_true, verdict.gaps_untrue), (0, 1, 0), "{missed:?}");
    }
    let verdict = judge(&durable(&sent), &heard(Some(1)));
    assert_eq!(verdict.gaps_untrue, 1, "two are missing, and it says one");
}

#[test]
fn a_gap_over_nothing_or_over_what_can_be_read_is_not_true() {
    let sent = sent(4);
    let over_nothing = [message(1), message(2), gap(Why::Expired, Some(3), 1), message(3), message(4)];
    assert_eq!(judge(&durable(&sent), &over_nothing).gaps_untrue, 1);
    let kept = HashSet::from([2, 3]);
    let channel = Channel { kept: Some(&kept), ..durable(&sent) };
    let heard = [message(1), gap(Why::Expired, Some(1), 1), message(3), message(4)];
    assert_eq!(judge(&channel, &heard).gaps_untrue, 1);
    let kept = HashSet::from([3, 4]);
    let channel = Channel { kept: Some(&kept), ..durable(&sent) };
    assert_eq!(judge(&channel, &heard).gaps_untrue, 0);
}

#[test]
fn lagged_is_for_at_most_once() {
    let sent = sent(4);
    let heard = [message(1), gap(Why::Lagged, Some(2), 1), message(4)];
    assert_eq!(judge(&loose(&sent), &heard).gaps_true, 1);
    assert_eq!(judge(&durable(&sent), &heard).gaps_untrue, 1);
    let heard = [message(1), gap(Why::Other, Some(2), 1), message(4)];
    assert_eq!(judge(&loose(&sent), &heard).gaps_untrue, 1);
}

#[test]
fn an_epoch_takes_a_node_that_began_anew_and_forgets() {
    let sent = sent(4);
    let heard = [message(1), gap(Why::Epoch, None, 2_500), message(3), message(4)];
    let untrue = |lives: &Lives| {
        let verdict = judge(&Channel { node: Some(lives), ..durable(&sent) }, &heard);
        assert_eq!(verdict.lost, 0);
        verdict.gaps_untrue
    };
    assert_eq!(untrue(&forgets(&[2_000])), 0);
    assert_eq!(untrue(&forgets(&[])), 1, "it ran all the time");
    assert_eq!(untrue(&forgets(&[2_600])), 1, "it ran until then");
    assert_eq!(untrue(&Lives { forgets: false, ..forgets(&[2_000]) }), 1, "it forgets nothing");
    let twice =
        [message(1), gap(Why::Epoch, None, 2_500), message(3), gap(Why::Epoch, None, 3_500), message(4)];
    let lives = forgets(&[2_000]);
    assert_eq!(judge(&Channel { node: Some(&lives), ..durable(&sent) }, &twice).gaps_untrue, 1);
}

#[test]
fn a_node_that_forgets_must_say_so() {
    let sent = sent(4);
    let lives = forgets(&[1_500]);
    let heard = [1, 3, 4].map(message);
    assert_eq!(judge(&Channel { node: Some(&lives), ..durable(&sent) }, &heard).lost, 1);
    let verdict = judge(&Channel { node: Some(&lives), ..loose(&sent) }, &heard);
    assert_eq!((verdict.lost, verdict.lost_in_crash, verdict.gaps_untold), (0, 1, 1));
    // Also where nothing was missed: the reader's cursor is of another log.
    let all = [1, 2, 3, 4].map(message);
    let untold = |lives: &Lives, heard: &[Heard]| {
        judge(&Channel { node: Some(lives), ..durable(&sent) }, heard).gaps_untold
    };
    assert_eq!(untold(&lives, &all), 1);
    assert_eq!(untold(&Lives { forgets: false, ..forgets(&[1_500]) }, &all), 0);
    let told = [message(1), message(2), gap(Why::Epoch, None, 2_500), message(3), message(4)];
    assert_eq!(untold(&forgets(&[2_400]), &told), 0);
    assert_eq!(untold(&forgets(&[2_400, 3_500]), &told), 1, "the second was not told");
}

#[test]
fn a_new_log_may_hold_a_message_again() {
    let sent = sent(3);
    let lives = forgets(&[2_100]);
    let again = Heard::Message { number: 2, place: 99, at_ms: 3_000 };
    let heard = [message(1), message(2), gap(Why::Epoch, None, 2_500), again, message(3)];
    let verdict = judge(&Channel { node: Some(&lives), ..durable(&sent) }, &heard);
    assert_eq!((verdict.stored_again, verdict.repeats, verdict.gaps_untrue), (1, 0, 0));
}

#[test]
fn a_gap_twice_on_the_wire_is_one() {
    let sent = sent(4);
    let told = gap(Why::Expired, Some(2), 1);
    let verdict = judge(&durable(&sent), &[message(1), told, told, message(4)]);
    assert_eq!((verdict.gaps_true, verdict.wire_repeats, verdict.lost), (1, 1, 0));
}

#[test]
fn a_stranger_and_a_cursor_for_two_are_noticed() {
    let sent = sent(3);
    let heard = [message(1), message(9), Heard::Message { number: 2, place: 1, at_ms: 0 }, message(3)];
    assert_eq!(judge(&durable(&sent), &heard).strange, 2);
}
