//! This file is the first program of the README: a durable job in twelve lines.
#![expect(clippy::print_stdout, reason = "printing is what the job does")]

use agentcom_core::driver::App;
use agentcom_store_redb::RedbStore;

async fn greet(name: String) {
    println!("Hello, {name}!");
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let store = RedbStore::open("jobs.redb", "default").await?;
    let app = App::over(store).handler("greet", greet).open().await?;
    app.submit("greet", "Ada").await?;
    Ok(app.run().await?)
}
