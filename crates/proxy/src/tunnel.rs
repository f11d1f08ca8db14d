//! Connections that have left HTTP (WebSocket and the like): bytes both ways until either side
//! closes, or the version is cut off.

use crate::pool::Pool;
use crate::seat::Tally;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::rc::Rc;

/// Joins both sides once both have switched. The request stays counted as open for as long.
pub fn open(pool: &Rc<Pool>, client: OnUpgrade, instance: OnUpgrade, tally: Tally) {
    pool.spawn(async move {
        let _open = tally;
        // Either side may vanish before it has switched; then there is nothing to join.
        let (Ok(client), Ok(instance)) = futures_util::future::join(client, instance).await else {
            return;
        };
        let (mut client, mut instance) = (TokioIo::new(client), TokioIo::new(instance));
        // An error is a side that vanished: the end of a tunnel like any other.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut instance).await;
    });
}
