//! Ids of the simulated world. They share their structure, so that they compress well: a contact
//! is `c0000123`, what belongs to it hangs on it (`c0000123.q1`, `c0000123.l1`).

use events::Text;

/// Longest id that fits into a `Text` without a heap allocation.
const MAX: usize = 23;

/// A short ASCII text under construction.
struct Builder {
    bytes: [u8; MAX],
    len: usize,
}

impl Builder {
    fn new(prefix: &str) -> Self {
        Builder {
            bytes: [0; MAX],
            len: 0,
        }
        .text(prefix)
    }

    fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.push(byte);
        }
        self
    }

    /// The number in decimal, with zeros in front up to `width` digits.
    fn number(mut self, n: u32, width: u32) -> Self {
        let digits = n.checked_ilog10().unwrap_or(0) + 1;
        for i in (0..digits.max(width)).rev() {
            self.push(b'0' + (u64::from(n) / 10u64.pow(i) % 10) as u8);
        }
        self
    }

    fn push(&mut self, byte: u8) {
        assert!(
            self.len < MAX,
            "ids of the simulator are at most {MAX} bytes"
        );
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn done(self) -> Text {
        let text = std::str::from_utf8(&self.bytes[..self.len]);
        Text::new(text.expect("only ASCII is pushed"))
    }
}

/// `c0000123`.
pub(crate) fn contact(no: u32) -> Text {
    Builder::new("c").number(no, 7).done()
}

/// `c0000123.q1`: the n-th thing of a kind that belongs to a contact.
pub(crate) fn part(no: u32, kind: &str, n: u8) -> Text {
    Builder::new("c")
        .number(no, 7)
        .text(".")
        .text(kind)
        .number(n.into(), 1)
        .done()
}

/// `c0000123-07`: the n-th event of a contact.
pub(crate) fn contact_event(no: u32, n: u16) -> Text {
    Builder::new("c")
        .number(no, 7)
        .text("-")
        .number(n.into(), 2)
        .done()
}

/// `o0000012`, `cu000123`, `a0007`: a thing of its own.
pub(crate) fn thing(prefix: &str, no: u32, width: u32) -> Text {
    Builder::new(prefix).number(no, width).done()
}

/// `o0000012-2`: the n-th event of a thing of its own.
pub(crate) fn thing_event(prefix: &str, no: u32, width: u32, n: u32) -> Text {
    Builder::new(prefix)
        .number(no, width)
        .text("-")
        .number(n, 1)
        .done()
}

/// `t0000012.m3`: the n-th thing of a kind that belongs to a thing of its own.
pub(crate) fn thing_part(prefix: &str, no: u32, width: u32, (kind, n): (&str, u32)) -> Text {
    let id = Builder::new(prefix).number(no, width);
    id.text(".").text(kind).number(n, 1).done()
}

/// `a0007.s12`: the n-th session of an agent.
pub(crate) fn session(agent: u32, n: u32) -> Text {
    Builder::new("a")
        .number(agent, 4)
        .text(".s")
        .number(n, 1)
        .done()
}

/// `c0000123.s1-2`: the n-th event about something that belongs to a contact.
pub(crate) fn part_event(no: u32, kind: &str, n: u8, event: u8) -> Text {
    let id = Builder::new("c")
        .number(no, 7)
        .text(".")
        .text(kind)
        .number(n.into(), 1);
    id.text("-").number(event.into(), 1).done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_share_their_structure() {
        assert_eq!(contact(123), "c0000123");
        assert_eq!(part(123, "q", 1), "c0000123.q1");
        assert_eq!(contact_event(123, 7), "c0000123-07");
        assert_eq!(thing("cu", 45, 6), "cu000045");
        assert_eq!(thing_event("o", 12, 7, 2), "o0000012-2");
        assert_eq!(thing_part("t", 12, 7, ("m", 3)), "t0000012.m3");
        assert_eq!(part_event(u32::MAX, "cb", 255, 9), "c4294967295.cb255-9");
    }
}
