use super::*;

fn ticks(max: f64) -> Vec<f64> {
    Axis::new(max, 5.0).ticks().collect()
}

#[test]
fn axes_end_at_round_numbers_and_hold_everything() {
    assert_eq!(ticks(100.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
    assert_eq!(ticks(5.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert!(ticks(0.0).len() > 1);
    for max in [1e-6, 0.03, 1.0, 97.0, 101.0, 10_000.0, 3.2e9] {
        let ticks = ticks(max);
        assert!(ticks[ticks.len() - 1] >= max * 0.999 && (2..=7).contains(&ticks.len()), "{max}: {ticks:?}");
    }
}

#[test]
fn a_second_without_figures_is_a_gap_in_the_line() {
    let values = vec![Some(1.0), None, Some(2.0), Some(3.0)];
    let line = Line { name: "p50", colour: "one", values };
    let plot = OverTime {
        at: &[1.0, 2.0, 3.0, 4.0],
        lines: vec![line],
        marks: &[],
        write: |value| value.to_string(),
        at_least: 0.0,
    };
    assert_eq!(plot.to_string().matches("<polyline").count(), 2);
}

#[test]
fn an_empty_plot_is_still_a_plot() {
    let plot =
        OverTime { at: &[], lines: Vec::new(), marks: &[], write: |value| value.to_string(), at_least: 0.0 };
    assert!(plot.to_string().ends_with("</svg>"));
    let (distribution, percentiles) = (Distribution::default(), Percentiles::default());
    let bars = Bars {
        distribution: &distribution,
        percentiles: &percentiles,
        of: "frames",
        colour: "one",
        write: |value| value.to_string(),
    };
    assert!(bars.to_string().ends_with("</svg>") && !bars.to_string().contains("NaN"));
    assert_eq!(bars.beyond(), None);
}

#[test]
fn what_is_not_drawn_is_said() {
    let mut values: Vec<_> = (1..=100).map(|ms| (f64::from(ms), 100)).collect();
    values.push((5_000.0, 3));
    let percentiles = Percentiles { max: Some(5_000.0), ..Percentiles::default() };
    let bars = Bars {
        distribution: &Distribution(values),
        percentiles: &percentiles,
        of: "listeners",
        colour: "one",
        write: |ms| format!("{ms} ms"),
    };
    assert_eq!(bars.beyond().as_deref(), Some("3 of 10,003 listeners are beyond, up to 5000 ms"));
    assert_eq!(bars.heights(bars.axis().end / BARS as f64).iter().sum::<u64>(), 10_000);
}
