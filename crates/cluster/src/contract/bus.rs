//! What every bus must do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::bus::{MAX_MESSAGE, MAX_PAYLOAD, MAX_QUEUE};
use crate::{Bus, BusError, Heard};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn bytes(number: usize) -> Bytes {
    Bytes::from(number.to_string())
}

pub async fn everybody_on_a_subject_hears_and_nobody_else<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let mut first = bus.subscribe("room.a").await.unwrap();
    let mut second = bus.subscribe("room.a").await.unwrap();
    let mut other = bus.subscribe("room.a.b").await.unwrap();
    bus.publish("room.a", bytes(1)).await.unwrap();
    bus.publish("room.a.b", bytes(2)).await.unwrap();
    for subscription in [&mut first, &mut second] {
        let message = subscription.recv().await.unwrap();
        assert_eq!((&*message.subject, message.payload, message.reply), ("room.a", bytes(1), None));
    }
    assert_eq!(other.recv().await.unwrap().payload, bytes(2));
    assert!(bus.is_up());
}

pub async fn what_one_publishes_comes_in_order<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let mut subscription = bus.subscribe("room.a").await.unwrap();
    for number in 0..1_000 {
        bus.publish("room.a", bytes(number)).await.unwrap();
    }
    for number in 0..1_000 {
        assert_eq!(subscription.recv().await.unwrap().payload, bytes(number));
    }
}

pub async fn a_request_gets_its_own_answer<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let mut requests = bus.subscribe("node.o").await.unwrap();
    let ask = |number| {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move { bus.request("node.o", bytes(number), PATIENCE).await })
    };
    let asked = [ask(1), ask(2)];
    let messages = [requests.recv().await.unwrap(), requests.recv().await.unwrap()];
    for message in messages.iter().rev() {
        let answer = [&message.payload[..], b"!"].concat();
        message.respond(&*bus, answer.into()).await.unwrap();
    }
    for (number, answer) in asked.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().unwrap(), format!("{}!", number + 1));
    }
    // Once more is too late, and no harm.
    messages[0].respond(&*bus, bytes(9)).await.unwrap();
}

pub async fn a_request_that_nobody_takes_fails_at_once<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let refused = bus.request("node.nobody", bytes(1), PATIENCE).await;
    assert_eq!(refused, Err(BusError::NoResponder("node.nobody".into())));
}

pub async fn a_request_that_nobody_answers_fails_in_time<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let _silent = bus.subscribe("node.o").await.unwrap();
    let refused = bus.request("node.o", bytes(1), Duration::from_millis(20)).await;
    assert_eq!(refused, Err(BusError::Timeout("node.o".into())));
}

pub async fn whoever_stops_listening_is_not_asked<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let gone = bus.subscribe("node.o").await.unwrap();
    drop(gone);
    // A bus over a network learns it a moment later.
    let asked = async {
        loop {
            match bus.request("node.o", bytes(1), Duration::from_millis(50)).await {
                Err(BusError::Timeout(_)) => tokio::task::yield_now().await,
                other => break other,
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, asked).await.unwrap();
    assert_eq!(refused, Err(BusError::NoResponder("node.o".into())));
}

pub async fn whoever_is_behind_hears_the_newest<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let mut slow = bus.subscribe("events").await.unwrap();
    for number in 0..MAX_QUEUE + 10 {
        bus.publish("events", bytes(number)).await.unwrap();
    }
    let last = bytes(MAX_QUEUE + 9);
    let mut heard = Vec::new();
    while heard.last() != Some(&last) {
        heard.push(slow.recv().await.unwrap().payload);
    }
    let missed = (MAX_QUEUE + 10 - heard.len()) as u64;
    // Counted a moment after it was dropped, where others deliver.
    until("what is missing is counted", || bus.stats().dropped == missed).await;
    assert!(
        heard.iter().rev().take(MAX_QUEUE / 2).eq((0..MAX_QUEUE + 10)
            .rev()
            .take(MAX_QUEUE / 2)
            .map(bytes)
            .collect::<Vec<_>>()
            .iter())
    );
}

pub async fn whoever_has_missed_something_is_told_so<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let mut slow = bus.subscribe("events").await.unwrap();
    let mut quick = bus.subscribe("others").await.unwrap();
    for number in 0..MAX_QUEUE + 10 {
        bus.publish("events", bytes(number)).await.unwrap();
    }
    bus.publish("others", bytes(7)).await.unwrap();
    until("ten are dropped", || bus.stats().dropped == 10).await;
    assert_eq!(slow.hear().await, Some(Heard::Gap));
    for number in 10..MAX_QUEUE + 10 {
        let Some(Heard::Message(message)) = slow.hear().await else { panic!("told twice") };
        assert_eq!(message.payload, bytes(number));
    }
    assert!(matches!(quick.hear().await, Some(Heard::Message(message)) if message.payload == bytes(7)));
}

pub async fn what_is_too_large_is_refused<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let refused = bus.publish("events", vec![0; MAX_MESSAGE + 1].into()).await;
    assert_eq!(refused, Err(BusError::TooLarge(MAX_MESSAGE + 1)));
    let mut subscription = bus.subscribe("events").await.unwrap();
    bus.publish("events", vec![0; MAX_PAYLOAD].into()).await.unwrap();
    assert_eq!(subscription.recv().await.unwrap().payload.len(), MAX_PAYLOAD);
}

pub async fn a_wait_that_was_given_up_loses_nothing<B: Bus>(fresh: &impl AsyncFn() -> Arc<B>) {
    let bus = fresh().await;
    let mut subscription = bus.subscribe("events").await.unwrap();
    for number in 0..100 {
        let given_up = tokio::time::timeout(Duration::ZERO, subscription.recv()).await;
        assert!(given_up.is_err(), "nothing was published yet");
        bus.publish("events", bytes(number)).await.unwrap();
        assert_eq!(subscription.recv().await.unwrap().payload, bytes(number));
    }
}

/// Waits for what no event tells of.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let holds = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, holds).await.is_ok(), "{what}");
}
