//! Bytes for people to read. It measures nothing.

use std::fmt;

/// A number of bytes, shown with a binary unit and three digits, as in `1.50 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut scaled = self.0 as f64;
        for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
            // 999.5 and more would print as four digits: the next unit is shorter.
            if scaled < 999.5 {
                return match unit {
                    "B" => write!(f, "{} B", self.0),
                    _ if scaled < 9.995 => write!(f, "{scaled:.2} {unit}"),
                    _ if scaled < 99.95 => write!(f, "{scaled:.1} {unit}"),
                    _ => write!(f, "{scaled:.0} {unit}"),
                };
            }
            scaled /= 1024.0;
        }
        write!(f, "{scaled:.2} PiB")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_and_a_unit() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.98 KiB"),
            (1024, "1.00 KiB"),
            (10 << 10, "10.0 KiB"),
            (100 << 20, "100 MiB"),
            (3 << 29, "1.50 GiB"),
            (1 << 50, "1.00 PiB"),
        ];
        for (number, expected) in cases {
            assert_eq!(Amount(number).to_string(), expected);
        }
    }
}
