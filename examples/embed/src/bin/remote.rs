//! This file is the second program of the README: the first one, open to agents from outside.
#![expect(clippy::print_stdout, reason = "printing is what the job does")]

use std::net::SocketAddr;

use agentcom_core::driver::App;
use agentcom_core::origin::AllowList;
use agentcom_store_redb::RedbStore;
use agentcom_transport_ws::{ServerLimits, listen};
use tokio::net::TcpListener;

async fn greet(name: String) {
    println!("Hello, {name}!");
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = RedbStore::open("jobs.redb", "default").await?;
    let (router, agents) = listen(ServerLimits::default(), AllowList::default());
    let app = App::over(store).handler("greet", greet).transport(agents).open().await?;
    app.submit("greet", "Ada").await?;
    let token = app.token_for("worker-1").await?;
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    println!("worker-1: ws://{}/ws {}", socket.local_addr()?, token.reveal());
    let server = axum::serve(socket, router.into_make_service_with_connect_info::<SocketAddr>());
    tokio::select! { ran = app.run() => ran?, served = server.into_future() => served? }
    Ok(())
}
