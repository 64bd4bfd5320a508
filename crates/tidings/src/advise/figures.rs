//! What one of each costs a node. CPU and memory are measured: each says by what, and docs/benchmarks.md on which
//! machine and with what spread. Bytes are counted in what a node and a browser send. The rest are choices, and say so.

/// Microseconds of CPU for one delivery to one subscriber (`tidings bench fanout`: 6.0 of the bare loop × 1.34).
pub(super) const DELIVERY_US: f64 = 8.0;
/// Microseconds of CPU for a poll on a connection that is kept alive (`benches/polls`).
pub(super) const POLL_US: f64 = 48.0;

/// Resident bytes of an idle connection (`tidings bench memory`).
pub(super) const WS_BYTES: f64 = 2_189.0;
pub(super) const SSE_BYTES: f64 = 1_820.0;
/// A long-poll that is held, and a connection that is kept alive between two polls (`benches/polls`).
pub(super) const LONG_POLL_BYTES: f64 = 26_700.0;
pub(super) const KEPT_ALIVE_BYTES: f64 = 15_200.0;

/// Bytes around the data of a message, with a channel's name of 10 bytes.
pub(super) const WS_FRAME: f64 = 162.0;
pub(super) const SSE_EVENT: f64 = 45.0;
pub(super) const PAGE_MESSAGE: f64 = 158.0;
/// A browser's request, a reply's head, and an empty page.
pub(super) const REQUEST: f64 = 450.0;
pub(super) const REPLY: f64 = 290.0;
pub(super) const PAGE: f64 = 97.0;
/// Bytes of a sign of life, and the seconds between two.
pub(super) const SIGN_OF_LIFE: f64 = 4.0;
pub(super) const HEARTBEAT_S: f64 = 15.0;
/// A long-poll that nothing comes to is held so long, in seconds.
pub(super) const HELD_S: f64 = 25.0;

/// Chosen: what one node is planned with. Of two cores 60 percent, so that a wave of reconnects finds room; and so many
/// connections, whose buffers in the kernel take more memory than the node does.
pub(super) const NODE_CORES: f64 = 1.2;
pub(super) const NODE_CONNECTIONS: f64 = 200_000.0;
/// Chosen: cores that polling may take where it would be enough: more, and a stream is cheaper for everybody.
pub(super) const POLL_CORES_MAX: f64 = 0.5;
/// Chosen: from how many seconds on polling is worth a thought: sooner, most of it would come back empty.
pub(super) const POLL_FRESH_S: f64 = 10.0;
