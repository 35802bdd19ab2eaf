//! Orders and the contacts that sold them.

use events::*;
use facts::{FactRows, Order};

use crate::scene::*;

const UNIT: i128 = Decimal::ONE;

fn money(units: i128) -> Money {
    Money {
        amount: Decimal(units * UNIT),
        currency: "CNY".into(),
    }
}

/// Two lines: 100 for one unit, 60 for two. Placed at 100 in leg l1 of contact c1.
fn placed() -> Scene {
    let mut s = Scene::call("c1", "sales");
    let line = |id: &str, units, value| OrderLine {
        line_id: id.into(),
        sku: "sku".into(),
        units,
        value: money(value),
    };
    s.add(
        100.0,
        OrderPlaced {
            order_id: "o1".into(),
            customer_id: "cu1".into(),
            interaction_id: Some("c1".into()),
            leg_id: Some("l1".into()),
            agent_id: None,
            channel: None,
            lines: vec![line("1", 1, 100), line("2", 2, 60)],
            kind: OrderKind::Upsell,
            site_id: None,
            campaign: None,
            upsell_offered: Some(true),
            cross_sell_offered: None,
            promise_at: None,
            notify_eligible: Some(true),
            holdout: None,
            is_test: None,
        },
    );
    s
}

fn verified(s: &mut Scene, seconds: f64, result: VerifyResult) {
    s.add(
        seconds,
        OrderVerified {
            order_id: "o1".into(),
            result,
        },
    );
}

macro_rules! step {
    ($s:expr, $seconds:expr, $step:ident $(, $lines:expr)?) => {{
        #[allow(unused_mut, unused_assignments)]
        let mut line_ids: Option<Vec<Text>> = None;
        $( line_ids = Some($lines.iter().map(|l: &&str| Text::from(*l)).collect()); )?
        $s.add($seconds, $step { order_id: "o1".into(), line_ids, reason: None, value: None })
    }};
}

fn values(order: &Order) -> (i128, i128, i128) {
    let units = |d: Decimal| d.0 / UNIT;
    (
        units(order.value_gross),
        units(order.value_returned),
        units(order.value_net),
    )
}

/// `orders_placed`, `orders_valid`, `orders_net` and the net value of contact c1.
fn sold(rows: &FactRows) -> (i64, i64, i64, i128) {
    let i = interaction(rows, "c1");
    (
        i.orders_placed,
        i.orders_valid,
        i.orders_net,
        i.value_net.0 / UNIT,
    )
}

#[test]
fn an_order_takes_agent_queue_and_channel_from_the_leg_that_sold_it() {
    let rows = placed().fold();
    let o = order(&rows, "o1");
    assert_eq!(
        (o.agent_id.as_deref(), o.queue_id.as_deref()),
        (Some("a1"), Some("sales"))
    );
    assert_eq!(
        (o.channel.as_deref(), o.currency.as_deref()),
        (Some("voice"), Some("CNY"))
    );
    assert_eq!((o.lines, o.units), (2, 3));
    assert!(o.has_upsell && o.upsell_offered && !o.has_cross_sell && !o.valid && !o.notified);
    assert_eq!(interaction(&rows, "c1").order_id.as_deref(), Some("o1"));
    assert_eq!(sold(&rows), (1, 0, 0, 0));
}

#[test]
fn an_order_is_valid_when_verified_and_net_when_shipped_and_kept() {
    let mut s = placed();
    verified(&mut s, 200.0, VerifyResult::Passed);
    let rows = s.fold();
    assert!(order(&rows, "o1").valid && !order(&rows, "o1").net_kept);
    assert_eq!(sold(&rows), (1, 1, 0, 0));
    step!(s, 300.0, OrderShipped);
    step!(s, 400.0, OrderDelivered);
    let rows = s.fold();
    assert!(order(&rows, "o1").net_kept);
    assert_eq!(values(order(&rows, "o1")), (160, 0, 160));
    assert_eq!(sold(&rows), (1, 1, 1, 160));
}

#[test]
fn the_last_verification_counts() {
    let mut s = placed();
    verified(&mut s, 200.0, VerifyResult::Unreachable);
    verified(&mut s, 900.0, VerifyResult::Passed);
    let rows = s.fold();
    assert!(order(&rows, "o1").valid);
    assert_eq!(order(&rows, "o1").verified_at, Some(at(900.0)));
}

#[test]
fn cancelled_before_shipment_is_not_valid_and_after_shipment_still_is() {
    let mut s = placed();
    verified(&mut s, 200.0, VerifyResult::Passed);
    step!(s, 300.0, OrderCancelled);
    assert!(!order(&s.fold(), "o1").valid);
    step!(s, 250.0, OrderShipped);
    assert!(order(&s.fold(), "o1").valid);
}

#[test]
fn a_refusal_at_the_door_leaves_an_order_valid_but_not_kept() {
    let mut s = placed();
    verified(&mut s, 200.0, VerifyResult::Passed);
    step!(s, 300.0, OrderShipped);
    step!(s, 400.0, OrderRefused);
    let rows = s.fold();
    let o = order(&rows, "o1");
    assert!(o.valid && !o.net_kept);
    assert_eq!(values(o), (160, 0, 0));
}

#[test]
fn a_partial_return_lowers_the_value_and_the_order_is_returned_with_its_last_line() {
    let mut s = placed();
    verified(&mut s, 200.0, VerifyResult::Passed);
    step!(s, 300.0, OrderShipped);
    step!(s, 500.0, OrderReturned, ["2"]);
    let rows = s.fold();
    let o = order(&rows, "o1");
    assert_eq!(
        (o.returned_at, o.lines_returned, o.net_kept),
        (None, 1, true)
    );
    assert_eq!(values(o), (160, 60, 100));
    assert_eq!(sold(&rows), (1, 1, 1, 100));
    step!(s, 600.0, OrderReturned, ["1", "2"]);
    let rows = s.fold();
    let o = order(&rows, "o1");
    assert_eq!((o.returned_at, o.lines_returned), (Some(at(600.0)), 2));
    assert!(o.valid && !o.net_kept);
    assert_eq!(values(o), (160, 160, 0));
}

#[test]
fn an_exchange_is_kept() {
    let mut s = placed();
    verified(&mut s, 200.0, VerifyResult::Passed);
    step!(s, 300.0, OrderShipped);
    step!(s, 500.0, OrderReturned);
    step!(s, 510.0, OrderExchanged);
    let rows = s.fold();
    let o = order(&rows, "o1");
    assert_eq!(
        (o.returned_at, o.exchanged_at, o.net_kept),
        (None, Some(at(510.0)), true)
    );
    assert_eq!(values(o), (160, 0, 160));
}

#[test]
fn a_value_that_a_return_names_counts_instead_of_the_lines_value() {
    let mut s = placed();
    verified(&mut s, 200.0, VerifyResult::Passed);
    step!(s, 300.0, OrderShipped);
    if let EventData::OrderReturned(d) = &mut step!(s, 500.0, OrderReturned, ["1"]).data {
        d.value = Some(money(40));
    }
    assert_eq!(values(order(&s.fold(), "o1")), (160, 40, 120));
}

#[test]
fn values_in_a_second_currency_are_left_out_and_flagged() {
    let mut s = placed();
    if let EventData::OrderPlaced(d) = &mut s.events.last_mut().expect("the order").data {
        d.lines[1].value.currency = "USD".into();
    }
    let rows = s.fold();
    assert_eq!(order(&rows, "o1").common.flags, ["mixed_currency"]);
    assert_eq!(
        (values(order(&rows, "o1")).0, issues(&rows)),
        (100, vec!["mixed_currency"])
    );
}

#[test]
fn steps_of_an_order_that_was_never_placed_are_an_issue_and_no_row() {
    let mut s = Scene::new();
    step!(s, 10.0, OrderShipped);
    let rows = s.fold();
    assert!(rows.Order.is_empty());
    assert_eq!(issues(&rows), ["missing_start"]);
}

#[test]
fn a_notice_sent_of_our_own_accord_marks_the_order_and_a_test_order_marks_the_entity() {
    let mut s = placed();
    let order_id = Some("o1".into());
    s.add(
        150.0,
        NotificationSent {
            order_id,
            case_id: None,
            kind: "sms".into(),
            proactive: true,
        },
    );
    let placed = s
        .events
        .iter_mut()
        .find(|e| e.data.event_type() == "order.placed");
    if let Some(EventData::OrderPlaced(d)) = placed.map(|e| &mut e.data) {
        d.is_test = Some(true);
    }
    let rows = s.fold();
    assert!(order(&rows, "o1").notified && order(&rows, "o1").common.is_test);
    assert!(interaction(&rows, "c1").common.is_test);
}
