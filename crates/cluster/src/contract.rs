//! What every [`Store`](crate::Store) and every [`Bus`](crate::Bus) must do, told as stories that run
//! against any of them. Time is an argument of a store, so its stories take none.
//!
//! ```ignore
//! async fn fresh(limits: cluster::Limits) -> std::sync::Arc<MyStore> { … }   // empty each time
//! cluster::store_contract!(fresh);
//! async fn fresh_bus() -> std::sync::Arc<MyBus> { … }
//! cluster::bus_contract!(fresh_bus);
//! ```
//!
//! What needs a server starts one of its own, from [`servers`].

#![allow(clippy::unwrap_used, missing_docs, reason = "tests, and their names say what they hold")]

pub mod bus;
pub mod servers;
pub mod store;

/// One test for each story in a list.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($of:ident, $fresh:path, [$($story:ident),* $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() {
                $crate::contract::$of::$story(&$fresh).await;
            }
        )*
    };
}

/// Holds a store to the contract; `fresh` is an async function from limits to an empty store.
#[macro_export]
macro_rules! store_contract {
    ($fresh:path) => {
        $crate::contract_tests!(
            store,
            $fresh,
            [
                the_first_join_makes_a_live_room,
                a_listener_who_comes_first_waits_for_whoever_may_speak,
                making_the_same_room_again_changes_nothing,
                a_refused_plan_makes_no_room,
                a_second_session_replaces_the_first,
                two_promotions_at_once_never_seat_a_ninth,
                of_many_changes_at_once_none_is_lost,
                a_loser_is_told_how_it_is,
                whoever_is_late_to_a_room_that_is_over_is_told_so,
                what_was_decided_long_ago_is_decided_again,
                decisions_are_made_in_the_time_that_is_told,
                what_is_known_of_a_room_is_not_fetched_again,
                an_origin_is_assigned_once,
                epochs_grow_over_all_rooms,
                a_ticket_brings_back_who_one_was,
                a_ticket_is_good_until_its_successor_is_shown,
                a_ticket_opens_the_door_before_the_cut_was_noticed,
                a_ticket_is_too_old_after_sixty_seconds,
                a_ticket_dies_with_its_session,
                whoever_is_put_out_is_gone,
                whoever_does_not_come_back_is_gone_once,
                a_cut_of_a_former_session_means_nothing,
                a_deserted_room_ends_and_may_begin_anew,
                a_room_that_was_ended_says_so_and_is_forgotten_later,
                an_ended_room_can_be_made_again,
                a_full_room_still_lets_hosts_in,
                guests_from_one_address_leave_places_to_others,
                a_full_list_of_hands_makes_room_and_is_lowered_at_once,
                there_is_a_limit_of_rooms,
                the_hidden_are_not_shown,
                people_and_rooms_come_by_pages,
                what_is_not_there_is_an_error,
                whoever_was_at_a_node_that_is_gone_is_cut_once,
                whoever_is_alive_is_not_taken_for_gone,
                a_node_that_was_taken_for_gone_puts_its_people_back,
                a_room_that_ends_leaves_nothing_to_a_node_that_is_gone,
                a_room_is_put_back_as_it_was_and_nothing_of_what_is_there_is_left,
                epochs_go_on_above_what_anybody_knows,
            ]
        );
    };
}

/// Holds a bus to the contract; `fresh` is an async function that gives one on which nobody is.
#[macro_export]
macro_rules! bus_contract {
    ($fresh:path) => {
        $crate::contract_tests!(
            bus,
            $fresh,
            [
                everybody_on_a_subject_hears_and_nobody_else,
                what_one_publishes_comes_in_order,
                a_request_gets_its_own_answer,
                a_request_that_nobody_takes_fails_at_once,
                a_request_that_nobody_answers_fails_in_time,
                whoever_stops_listening_is_not_asked,
                whoever_is_behind_hears_the_newest,
                whoever_has_missed_something_is_told_so,
                what_is_too_large_is_refused,
                a_wait_that_was_given_up_loses_nothing,
            ]
        );
    };
}
