//! Figures as people read them.

/// A count with commas: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure with as many digits as matter, and commas: `0.27`, `31.4`, `1,204`.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ if value > 0.0 => count(value.round() as u64),
        _ => format!("{value:.0}"),
    }
}

/// A figure as one would type it, with no more than four digits that matter: `555`, `0.0000167`.
pub(crate) fn short(value: f64) -> String {
    if value == 0.0 || value.abs() >= 1_000.0 {
        return format!("{value:.0}");
    }
    let digits = (3.0 - value.abs().log10().floor()).max(0.0) as usize;
    let text = format!("{value:.digits$}");
    if digits == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').into() }
}

/// A figure, or a dash where nothing was measured.
pub(crate) fn measured(value: Option<f64>) -> String {
    value.map_or_else(|| "–".into(), figure)
}

/// A share: `0.012 %`. What is not nothing does not look like nothing.
pub(crate) fn percent(ratio: Option<f64>) -> String {
    match ratio {
        None => "–".into(),
        Some(0.0) => "0 %".into(),
        Some(ratio) if ratio < 0.000_01 => "< 0.001 %".into(),
        Some(ratio) if ratio < 0.01 => format!("{:.3} %", ratio * 100.0),
        Some(ratio) => format!("{:.1} %", ratio * 100.0),
    }
}

/// Memory: `393 MB`, in powers of ten.
pub(crate) fn bytes(bytes: u64) -> String {
    let value = bytes as f64;
    match value {
        ..1e3 => format!("{bytes} B"),
        ..1e6 => format!("{} KB", figure(value / 1e3)),
        ..1e9 => format!("{} MB", figure(value / 1e6)),
        _ => format!("{} GB", figure(value / 1e9)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        let texts = [0.0, 0.274, 9.5, 31.44, 160.0, 1_204.4].map(figure);
        assert_eq!(texts, ["0", "0.27", "9.50", "31.4", "160", "1,204"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(measured(None), "–");
    }

    #[test]
    fn figures_to_compare_are_plain_and_short() {
        let texts = [0.0, 555.008, 10_000.0, 1.670_57e-5, 0.27, 1_234.5].map(short);
        assert_eq!(texts, ["0", "555", "10000", "0.00001671", "0.27", "1234"]);
    }

    #[test]
    fn one_lost_frame_in_millions_is_not_none() {
        assert_eq!(percent(Some(0.0)), "0 %");
        assert_eq!(percent(Some(1e-7)), "< 0.001 %");
        assert_eq!(percent(Some(0.000_5)), "0.050 %");
        assert_eq!(percent(Some(0.25)), "25.0 %");
        assert_eq!(percent(None), "–");
    }

    #[test]
    fn memory_is_in_powers_of_ten() {
        assert_eq!(
            [512, 34_000, 393_000_000, 8_340_000_000].map(bytes),
            ["512 B", "34.0 KB", "393 MB", "8.34 GB"]
        );
    }
}
