//! Sizes, rates and other numbers as people write them. Each parser's error is the end of a
//! sentence.

use content::PieceLen;
use std::time::Duration;

/// The shortest `--patience`: signs of life go four times as often, and at a millisecond they are
/// all that ranks do.
const PATIENCE_MIN_SECONDS: f64 = 0.01;

/// The longest `--patience`: beyond a month it is a typing error.
const PATIENCE_MAX_SECONDS: f64 = 30.0 * 24.0 * 3600.0;

/// The most workers of one rank; more threads than that only wait for each other.
const THREADS_MAX: u32 = 1024;

/// Reads a size in bytes: `4096`, `256KiB`, `1.5 GiB`, `150MB`, `4M`.
///
/// `KiB MiB GiB TiB` are powers of 1024 and `kB MB GB TB` powers of 1000. A bare `K M G T` is a
/// power of 1024, as in `dd`. `Mb` is refused: it reads as megabits.
///
/// # Errors
///
/// Says how a size is written, or that it is beyond 64 bits.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let Some(factor) = factor_of(unit.trim()) else { return Err(how_sizes_are_written(text)) };
    if let Ok(whole) = digits.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(|| too_large(text));
    }
    let number: f64 = match digits.parse() {
        Ok(number) => number,
        // Digits alone that are no u64 are too many; all else is no number.
        Err(_) => return Err(how_sizes_are_written(text)),
    };
    let bytes = number * factor as f64;
    if bytes >= u64::MAX as f64 {
        return Err(too_large(text));
    }
    if bytes.fract() != 0.0 && factor == 1 {
        return Err(format!("'{text}' is not a whole number of bytes"));
    }
    Ok(bytes.round() as u64)
}

/// The least `--memory`: what any other memory of a rank is many times over.
const MEMORY_MIN: u64 = 1 << 20;

/// Reads the memory of a rank.
///
/// # Errors
///
/// As [`parse_size`]; refuses less than 1 MiB.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        less if less < MEMORY_MIN => {
            Err("less than 1MiB is too little to move anything".to_owned())
        }
        memory => Ok(memory),
    }
}

/// Reads a rate in bytes a second: a size, with or without `/s`.
///
/// # Errors
///
/// As [`parse_size`]; refuses 0, which would never end.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let size = trimmed.strip_suffix("/s").unwrap_or(trimmed);
    match parse_size(size)? {
        0 => Err("a rate of 0 would never end".to_owned()),
        rate => Ok(rate),
    }
}

/// Reads a piece length.
///
/// # Errors
///
/// As [`parse_size`] and [`PieceLen::from_bytes`].
pub fn parse_piece_len(text: &str) -> Result<PieceLen, String> {
    PieceLen::from_bytes(parse_size(text)?).map_err(|error| error.to_string())
}

/// Reads a time in seconds, fractions allowed.
///
/// # Errors
///
/// Refuses what is no number, less than a hundredth of a second, or more than a month.
pub fn parse_patience(text: &str) -> Result<Duration, String> {
    let refuse = || "it is a number of seconds, at least 0.01, at most a month".to_owned();
    let seconds: f64 = text.trim().parse().map_err(|_| refuse())?;
    if !(PATIENCE_MIN_SECONDS..=PATIENCE_MAX_SECONDS).contains(&seconds) {
        return Err(refuse());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| refuse())
}

/// Reads a number of pieces in a batch.
///
/// # Errors
///
/// Refuses what is no whole number from 1.
pub fn parse_batch(text: &str) -> Result<u32, String> {
    parse_count(text, u32::MAX)
}

/// Reads a number of workers.
///
/// # Errors
///
/// Refuses what is no whole number from 1 to 1024.
pub fn parse_threads(text: &str) -> Result<usize, String> {
    parse_count(text, THREADS_MAX).map(|count| count as usize)
}

/// Reads a number of ranks.
///
/// # Errors
///
/// Refuses what is no whole number from 1 to the most ranks of a job.
pub fn parse_ranks(text: &str) -> Result<u32, String> {
    parse_count(text, swarm::Rank::LIMIT)
}

fn parse_count(text: &str, max: u32) -> Result<u32, String> {
    match text.trim().parse::<u32>() {
        Ok(count) if (1..=max).contains(&count) => Ok(count),
        _ if max == u32::MAX => Err("it is a whole number, at least 1".to_owned()),
        _ => Err(format!("it is a whole number from 1 to {max}")),
    }
}

fn factor_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "B" => 1,
        "K" | "k" | "KiB" | "kiB" | "kib" => 1 << 10,
        "M" | "m" | "MiB" | "mib" => 1 << 20,
        "G" | "g" | "GiB" | "gib" => 1 << 30,
        "T" | "t" | "TiB" | "tib" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    })
}

fn how_sizes_are_written(text: &str) -> String {
    format!(
        "'{text}' is no size: write a number of bytes, or one with KiB, MiB, GiB, TiB (or K, M, \
         G, T; powers of 1024) or kB, MB, GB, TB (powers of 1000)"
    )
}

fn too_large(text: &str) -> String {
    format!("'{text}' is more than 64 bits can count")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_units_are_powers_of_1024_and_decimal_ones_of_1000() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("7B", 7),
            ("256KiB", 256 << 10),
            ("1MiB", 1 << 20),
            ("4M", 4 << 20),
            ("4m", 4 << 20),
            ("2G", 2 << 30),
            ("1T", 1 << 40),
            ("1.5GiB", 3 << 29),
            ("0.5K", 512),
            ("150MB", 150_000_000),
            ("150 MB", 150_000_000),
            ("1kB", 1000),
            ("1KB", 1000),
            ("3GB", 3_000_000_000),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_says_how_sizes_are_written() {
        for bad in
            ["", "x", "-1", "1Mb", "1XB", "1.2.3M", ".", "1e3", "MiB", "inf", "NaN", "\u{661}"]
        {
            let message = parse_size(bad).unwrap_err();
            assert!(message.contains("is no size: write a number of bytes"), "{bad}: {message}");
        }
        assert!(parse_size("1.5").unwrap_err().contains("whole number of bytes"));
        assert!(parse_size("99999999999T").unwrap_err().contains("64 bits"));
    }

    #[test]
    fn a_rate_may_say_per_second_and_is_never_zero() {
        assert_eq!(parse_rate("150MB"), Ok(150_000_000));
        assert_eq!(parse_rate("1.5GiB/s"), Ok(3 << 29));
        assert!(parse_rate("0").unwrap_err().contains("never end"));
        assert!(parse_rate("fast").is_err());
    }

    #[test]
    fn patience_is_positive_and_may_have_a_fraction() {
        assert_eq!(parse_patience("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_patience("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_patience("0.01"), Ok(Duration::from_millis(10)));
        for bad in ["0", "-1", "1e-30", "0.009", "NaN", "inf", "", "soon", "1e12"] {
            assert!(parse_patience(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_piece_length_is_checked_where_it_is_read() {
        assert_eq!(parse_piece_len("1MiB").unwrap().bytes(), 1 << 20);
        assert!(parse_piece_len("1MB").unwrap_err().contains("power of two"));
        assert!(parse_piece_len("1KiB").unwrap_err().contains("16 KiB"));
    }

    #[test]
    fn counts_begin_at_one() {
        assert_eq!(parse_batch("10"), Ok(10));
        for bad in ["0", "-3", "1.5", "", "ten", "4294967296"] {
            assert!(parse_batch(bad).is_err(), "{bad}");
        }
        assert!(parse_threads("1025").unwrap_err().contains("1 to 1024"));
    }
}
