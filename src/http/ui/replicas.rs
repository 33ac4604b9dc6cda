//! Replicas: the followers of this node, and its own upstream.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{NoParams, blocking};
use super::super::state::App;
use super::html;
use super::visitor::Visitor;
use crate::model::principal::Permission;
use crate::replication::connected_replicas::ConnectedReplica;
use crate::replication::publisher::Publisher;
use crate::store::read::Head;
use crate::web::pages::replicas::{ReplicaRow, ReplicasPageData, page};

/// Shows them to visitors who can read `/v1/status`.
pub(super) async fn replicas(State(app): State<App>, visitor: Visitor, _: NoParams) -> Result<Response, Failure> {
    let work = move || {
        let followers = app.publisher.as_ref().map(Publisher::followers);
        let rows = |(head, all): (Head, Vec<ConnectedReplica>)| all.into_iter().map(|one| row(one, head)).collect();
        let matter = ReplicasPageData {
            status: (app.status)(),
            rows: followers.map(rows),
            names: visitor.holds(&app, Permission::Access),
        };
        Ok::<_, Failure>(page(&visitor.frame_alone(&app)?, &matter))
    };
    Ok(html(blocking(work).await??))
}

fn row(one: ConnectedReplica, head: Head) -> ReplicaRow {
    ReplicaRow {
        behind: one.commits_behind(head),
        replica: one.replica,
        follows_as: one.follows_as.map(|known| (known.principal, known.token)),
        position: one.position,
        heard: one.heard,
        said: one.report.map(|report| (report.freshness, report.version)),
    }
}
