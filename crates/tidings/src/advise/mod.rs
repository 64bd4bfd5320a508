//! Which transport, which guarantee, and what it costs: from the answers to a few questions.
//!
//! ```text
//! Situation ──► Costs (of each transport) ──► Decision (ladder, delivery, why) ──► Advice (to paste, what would change it)
//! ```
//!
//! All of it is a pure function of the situation. `docs/choosing.md` is a table of its answers.

mod cost;
mod decision;
mod figures;
mod paste;
mod situation;
mod table;
mod turns;

use serde::Serialize;

pub use cost::{Cost, Costs};
pub use decision::{Decision, Reason};
pub use situation::{Loss, Network, Sends, Situation};
pub use table::{Example, choosing, examples};
pub use turns::Turn;

/// What to do, what it costs, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Advice {
    /// What was answered.
    pub situation: Situation,
    /// What to take.
    pub decision: Decision,
    /// What each transport would cost at this scale.
    pub costs: Costs,
    /// A configuration for `tidings serve`.
    pub configuration: String,
    /// A page's code.
    pub code: String,
    /// Which other answers would change the decision.
    pub turns: Vec<Turn>,
}

/// Decides.
pub fn advise(situation: Situation) -> Advice {
    let costs = Costs::of(&situation);
    let decision = Decision::of(&situation, &costs);
    Advice {
        configuration: paste::configuration(&situation, &decision, &costs),
        code: paste::code(&decision),
        turns: turns::turns(&situation, &decision),
        situation,
        decision,
        costs,
    }
}
