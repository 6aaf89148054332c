//! Bytes, rates and times for people to read.

use content::Amount;
use content::name::escape;
use std::time::Duration;

/// Bytes with a binary unit and three digits, as in `1.50 GiB`.
pub fn bytes(bytes: u64) -> String {
    Amount(bytes).to_string()
}

/// Bytes a second over a time; `-` where nothing moved or no time passed.
pub fn rate(bytes: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    if bytes == 0 || seconds <= 0.0 {
        return "-".to_owned();
    }
    let rate = bytes as f64 / seconds;
    format!("{}/s", Amount(rate as u64))
}

/// A time: `0.123 s`, `12.3 s`, `2 min 05 s`, `3 h 04 min`.
pub fn time(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 9.9995 => format!("{seconds:.3} s"),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        0..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A time that is only guessed: whole seconds, as in `7 s`.
pub fn rough_time(seconds: f64) -> String {
    match seconds.ceil() {
        whole if whole < 60.0 => format!("{whole} s"),
        whole => time(Duration::from_secs_f64(whole)),
    }
}

/// Text that came from another rank, made safe for a terminal: control characters as `\xNN`. Names
/// in it are text already, and their backslashes stay as they are.
pub fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => safe.push_str(&escape(c.encode_utf8(&mut [0; 4]).as_bytes())),
            false => safe.push(c),
        }
    }
    safe
}

/// A count with its noun: `1 file`, `3 files`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_safe_once_and_names_in_it_stay_as_they_are() {
        let shown = format!("'{}' is gone\x1b[1m", escape(b"a\\b\xff"));
        assert_eq!(safe(&shown), "'a\\\\b\\xff' is gone\\x1b[1m");
        assert_eq!(safe(&safe(&shown)), safe(&shown));
    }

    #[test]
    fn a_rate_of_nothing_is_a_dash() {
        assert_eq!(rate(0, Duration::from_secs(1)), "-");
        assert_eq!(rate(1, Duration::ZERO), "-");
        assert_eq!(rate(1 << 30, Duration::from_secs(2)), "512 MiB/s");
    }

    #[test]
    fn times_grow_into_minutes_and_hours() {
        for (millis, expected) in [
            (123, "0.123 s"),
            (9_999, "9.999 s"),
            (59_940, "59.9 s"),
            (59_960, "1 min 00 s"),
            (125_000, "2 min 05 s"),
            (11_070_000, "3 h 04 min"),
        ] {
            assert_eq!(time(Duration::from_millis(millis)), expected);
        }
        assert_eq!(rough_time(6.2), "7 s");
        assert_eq!(rough_time(124.5), "2 min 05 s");
    }
}
