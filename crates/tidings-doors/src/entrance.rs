//! The doors in use, and how others take their place while a node runs.

use std::sync::Arc;

use axum::extract::FromRef;
use tokio::sync::watch;

use crate::Doors;

/// The doors in use. Each request goes through those that it finds, to its end. Cloning shares them.
#[derive(Clone)]
pub struct Entrance(Arc<watch::Sender<Arc<Doors>>>);

impl Entrance {
    /// The way to these doors.
    pub fn new(doors: Doors) -> Self {
        Entrance(Arc::new(watch::Sender::new(Arc::new(doors))))
    }

    /// The doors in use.
    pub fn doors(&self) -> Arc<Doors> {
        self.0.borrow().clone()
    }

    /// Leads to other doors from now on. Who went through those before stays.
    pub fn replace(&self, doors: Doors) {
        self.0.send_replace(Arc::new(doors));
    }
}

impl FromRef<Entrance> for Arc<Doors> {
    fn from_ref(entrance: &Entrance) -> Self {
        entrance.doors()
    }
}
