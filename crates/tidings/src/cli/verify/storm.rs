//! Makes the faults of a schedule happen.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::fault::Fault;
use super::judge::{Lives, Restart};
use super::node::Node;
use super::reader::millis;
use super::schedule::Act;
use crate::cli::server::Server;
use crate::proxy::{Condition, Cut, Path, Refusal};

/// Makes what happens to paths happen, until all is over. All paths are good then.
pub async fn on_paths(acts: &[Act], paths: &[Path]) {
    let begun = Instant::now();
    let mut turns: Vec<(Duration, &Act, bool)> = Vec::new();
    for act in acts.iter().filter(|act| act.path.is_some()) {
        turns.extend([(act.at, act, true), (act.at + act.lasts, act, false)]);
    }
    turns.sort_by_key(|(at, _, begins)| (*at, *begins));
    for (at, act, begins) in turns {
        sleep_until(begun + at).await;
        let Some(path) = act.path.and_then(|path| paths.get(path)) else { continue };
        match begins {
            true => path.change(|condition| apply(act, condition)),
            false => path.change(Condition::mend),
        }
    }
}

fn apply(act: &Act, condition: &mut Condition) {
    let (how, is_first_half) = (act.how, act.how < 0.5);
    // Another bit of the same number.
    let is_even_quarter = ((how * 4.0) as u32).is_multiple_of(2);
    match act.fault {
        Fault::Cut | Fault::LinkCut => {
            condition.cut = Cut { is_reset: is_first_half, is_midway: is_even_quarter };
            condition.cuts += 1;
        }
        Fault::Freeze => condition.freezes += 1,
        Fault::Delay => condition.delay = Duration::from_millis(50) + Duration::from_millis(350).mul_f64(how),
        Fault::Throttle => condition.bytes_each_second = Some(300 + (how * 5_000.0) as u32),
        Fault::NoUpgrade => {
            condition.refuses_upgrades = Some(if is_first_half { Refusal::Answer } else { Refusal::Close });
            // So that there is one to refuse.
            condition.cut = Cut::default();
            condition.cuts += 1;
        }
        Fault::Buffer => {
            condition.holds_back = true;
            if is_first_half {
                condition.cut = Cut::default();
                condition.cuts += 1;
            }
        }
        Fault::BlackHole => {
            condition.is_down = true;
            // Who stands in between may have forgotten what was connected, which then is dead for good.
            condition.freezes += u32::from(is_even_quarter);
        }
        Fault::Kill | Fault::Restart | Fault::Stall | Fault::BrokerStall | Fault::BrokerRestart => {}
    }
}

/// Makes what happens to the links of nodes to their broker happen, to one at a time. All are good then.
pub async fn on_links(acts: &[Act], links: &[Path]) {
    let begun = Instant::now();
    for act in acts.iter().filter(|act| act.fault.is_of_link()) {
        sleep_until(begun + act.at).await;
        let Some(link) =
            links.get(((act.how * links.len() as f64) as usize).min(links.len().saturating_sub(1)))
        else {
            return;
        };
        // Which link it is must not decide how it is cut.
        let how = (act.how * 97.0).fract();
        link.change(|condition| apply(&Act { how, ..act.clone() }, condition));
        sleep_until(begun + act.at + act.lasts).await;
        link.change(Condition::mend);
    }
}

/// Makes what happens to nodes happen, to one at a time; all run when it is over. Notes in `lives` when one ended, in
/// time since `began`.
///
/// # Errors
///
/// If it does not start again.
pub async fn on_nodes(
    acts: &[Act],
    nodes: &mut [Node],
    began: Instant,
    lives: &mut Lives,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    for act in acts.iter().filter(|act| act.fault.is_of_node()) {
        sleep_until(begun + act.at).await;
        let which = ((act.how * nodes.len() as f64) as usize).min(nodes.len().saturating_sub(1));
        let Some(node) = nodes.get_mut(which) else { break };
        match act.fault {
            Fault::Kill | Fault::Restart => {
                // Noted before, since a reader may be told before it is over.
                let told_ms = millis(began.elapsed());
                lives.restarts.push(Restart { told_ms, gone_ms: u32::MAX });
                match act.fault {
                    Fault::Kill => node.kill()?,
                    _ => node.terminate().await?,
                }
                let gone_ms = millis(began.elapsed());
                lives.restarts.last_mut().into_iter().for_each(|restart| restart.gone_ms = gone_ms);
                sleep_until(Instant::now() + act.lasts).await;
                node.start().await?;
            }
            Fault::Stall => {
                node.stop()?;
                sleep_until(Instant::now() + act.lasts).await;
                node.go_on()?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes what happens to the broker's server happen; it runs when all is over. Gives when it ended, in time since `began`.
///
/// # Errors
///
/// If it does not start again.
pub async fn on_server(acts: &[Act], server: &mut Server, began: Instant) -> anyhow::Result<Vec<Restart>> {
    let begun = Instant::now();
    let mut restarts = Vec::new();
    for act in acts.iter().filter(|act| act.fault.is_of_broker()) {
        sleep_until(begun + act.at).await;
        if act.fault == Fault::BrokerStall {
            server.stall(act.lasts).await?;
            continue;
        }
        let told_ms = millis(began.elapsed());
        server.restart(act.lasts).await?;
        restarts.push(Restart { told_ms, gone_ms: millis(began.elapsed()) });
    }
    Ok(restarts)
}
