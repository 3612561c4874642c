use std::sync::Mutex;

use super::*;
use crate::contract::servers::Server;
use crate::contract::store::Ground;

async fn fresh(limits: Limits) -> Ground {
    let server = Server::redis();
    let url = format!("redis://{}", server.address());
    let store = RedisStore::new(&url, "dais", limits).unwrap();
    let server = Mutex::new(server);
    Ground::new(store, limits, move |ms| server.lock().unwrap().advance(ms as i64))
}

crate::store_contract!(fresh);
