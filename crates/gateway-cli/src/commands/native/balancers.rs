//! `balancers`.

use clap::Args;
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::Balancer;

use super::place::Fetched;
use super::{AppArgument, Place};
use crate::failure::Failure;
use crate::table::Rows;

/// The arguments of `balancers`.
#[derive(Args, Debug)]
pub(crate) struct BalancersArguments {
    #[command(flatten)]
    app: AppArgument,
}

/// Lists them.
pub(super) async fn run(place: &Place<'_>, arguments: &BalancersArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    let asked = RackRequest::get(&["apps", &app, "balancers"]);
    let Fetched { raw, value } = place.fetch::<Vec<Balancer>>(&asked).await?;
    let mut rows = Rows::new(&["BALANCER", "SERVICE", "ENDPOINT"]);
    for one in value {
        rows.add(vec![one.name, one.service, one.endpoint]);
    }
    place.listing(&raw, &rows, "there are no balancers")
}
