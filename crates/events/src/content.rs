//! Payment card numbers must not be stored: finding and masking them.
//!
//! A card number is 13 to 19 digits that begin as a card brand's numbers of that length do and pass
//! the Luhn check. Groups of at least three digits, joined by one space or hyphen, count as one
//! number; dates and UUIDs do not.

use std::borrow::Cow;

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;
/// Shorter groups are parts of dates, not of card numbers.
const GROUP_MIN: usize = 3;

/// Does the text hold a payment card number?
pub fn has_card_number(text: &str) -> bool {
    has_card_bytes(text.as_bytes())
}

/// Is there room for a card number? Keeps the search off nearly every text.
fn has_card_bytes(text: &[u8]) -> bool {
    text.len() >= DIGITS_MIN
        && text.iter().filter(|b| b.is_ascii_digit()).count() >= DIGITS_MIN
        && !card_spans(text).is_empty()
}

/// The text with every digit of a card number but the last four replaced by `*`.
pub fn mask_text(text: &str) -> Cow<'_, str> {
    match mask_bytes(text.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(masked) => Cow::Owned(String::from_utf8_lossy(&masked).into_owned()),
    }
}

/// As [`mask_text`], for bytes of any encoding.
pub fn mask_bytes(text: &[u8]) -> Cow<'_, [u8]> {
    if !has_card_bytes(text) {
        return Cow::Borrowed(text);
    }
    let mut masked = text.to_vec();
    for (start, end) in card_spans(text) {
        let digits = masked[start..end]
            .iter()
            .filter(|b| b.is_ascii_digit())
            .count();
        let hidden = digits.saturating_sub(4);
        masked[start..end]
            .iter_mut()
            .filter(|b| b.is_ascii_digit())
            .take(hidden)
            .for_each(|b| *b = b'*');
    }
    Cow::Owned(masked)
}

/// Runs of digits as `(start, end)`.
fn digit_runs(text: &[u8]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at].is_ascii_digit() {
            let start = at;
            while at < text.len() && text[at].is_ascii_digit() {
                at += 1;
            }
            runs.push((start, at));
        } else {
            at += 1;
        }
    }
    runs
}

/// Where card numbers stand: in one run of digits, or over neighbouring groups.
fn card_spans(text: &[u8]) -> Vec<(usize, usize)> {
    let runs = digit_runs(text);
    let mut spans = Vec::new();
    let mut first = 0;
    while first < runs.len() {
        let last = last_of_card(text, &runs, first);
        if let Some(last) = last {
            spans.push((runs[first].0, runs[last].1));
        }
        first = last.unwrap_or(first) + 1;
    }
    spans
}

/// Index of the run in which a card number ends that begins with run `first`.
fn last_of_card(text: &[u8], runs: &[(usize, usize)], first: usize) -> Option<usize> {
    let mut digits = 0;
    for last in first..runs.len() {
        if last > first && !joined(text, runs[last - 1], runs[last]) {
            return None;
        }
        digits += runs[last].1 - runs[last].0;
        if digits > DIGITS_MAX {
            return None;
        }
        let span = &text[runs[first].0..runs[last].1];
        let whole = last == first || stands_alone(text, runs[first].0, runs[last].1);
        if digits >= DIGITS_MIN && whole && is_card_number(span) {
            return Some(last);
        }
    }
    None
}

fn joined(text: &[u8], left: (usize, usize), right: (usize, usize)) -> bool {
    let long = |run: (usize, usize)| run.1 - run.0 >= GROUP_MIN;
    right.0 == left.1 + 1 && matches!(text[left.1], b' ' | b'-') && long(left) && long(right)
}

/// A grouped number that touches a letter is part of a code, as of a UUID.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    let letter = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphabetic);
    !(start > 0 && letter(text.get(start - 1)) || letter(text.get(end)))
}

fn is_card_number(span: &[u8]) -> bool {
    let digits: Vec<u8> = span
        .iter()
        .filter(|b| b.is_ascii_digit())
        .map(|b| b - b'0')
        .collect();
    issued(&digits) && luhn(&digits)
}

/// Does a card brand issue numbers of this length that begin so?
fn issued(digits: &[u8]) -> bool {
    let head = |n: usize| {
        digits[..n]
            .iter()
            .fold(0, |sum, d| sum * 10 + u32::from(*d))
    };
    matches!(
        (digits.len(), head(4), head(2)),
        (13 | 16 | 19, 4000..=4999, _)
            | (16, 2221..=2720 | 5100..=5599, _)
            | (15, _, 34 | 37)
            | (14, 3000..=3059, _)
            | (14, _, 36 | 38 | 39)
            | (16..=19, 3528..=3589 | 6011 | 6440..=6499, _)
            | (16..=19, _, 62 | 65)
            | (_, _, 50 | 56..=58 | 63 | 67)
    )
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .map(|digit| u32::from(*digit))
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_found_plain_and_in_groups() {
        for text in [
            "4111111111111111",
            "card 4111 1111 1111 1111 please",
            "4111-1111-1111-1111",
            "x4111111111111111y",
            "amex 3782 822463 10005",
            "卡号6222021234567890128",
            "order 1234 4111 1111 1111 1111",
        ] {
            assert!(has_card_number(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in [
            "4111111111111112",
            "9007199254740993",
            "8613800138000",
            "1700000000000000",
            "2026-03-02 01:14:02 2026-03-02",
            "550e8400-e29b-41d4-a716-446655440000",
            "41111111111111111111111",
            "",
        ] {
            assert!(!has_card_number(text), "{text}");
        }
    }

    #[test]
    fn a_masked_number_keeps_its_last_four_digits_and_its_shape() {
        assert_eq!(
            mask_text("pay 4111 1111 1111 1111 now"),
            "pay **** **** **** 1111 now"
        );
        assert_eq!(
            mask_bytes(b"\xff4111111111111111"),
            &b"\xff************1111"[..]
        );
        assert!(matches!(mask_text("nothing here"), Cow::Borrowed(_)));
    }
}
