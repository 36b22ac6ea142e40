//! Kubernetes quantities: `512Mi`, `200m`, `1e3`, `2`.

/// The value of a quantity in base units (bytes, cores); `None` when it is not one.
#[must_use]
pub fn parse(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 15] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let text = text.trim();
    let (digits, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    let plain = !digits.is_empty()
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    let value: f64 = if plain { digits.parse().ok()? } else { return None };
    value.is_finite().then_some(value * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_base_units() {
        for (text, value) in [
            ("512Mi", 536_870_912.0),
            ("1Gi", 1_073_741_824.0),
            ("200m", 0.2),
            ("2", 2.0),
            ("0.5", 0.5),
            ("1e3", 1000.0),
            ("128974848", 128_974_848.0),
            ("100M", 100e6),
            ("3k", 3000.0),
        ] {
            let read = parse(text).unwrap_or(f64::NAN);
            assert!((read - value).abs() < 1e-9 * value, "{text}: {read}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "Mi", "abc", "12X", "inf", "NaN", "1 2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
