//! What is beyond a limit is told with its code, and nobody else notices.

mod connections;
mod proxies;
mod rates;
mod sizes;
mod times;
