//! Estimated wait of a customer who joins a queue now.
//!
//! Both methods see what a board sees: who is ahead, how many serve, how long a contact takes, how
//! long customers are patient. They are estimates; how good they are is measured, not claimed.

/// What one who joins a queue finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ahead {
    /// Customers who wait already.
    pub waiting: u32,
    /// Agents who serve the queue, busy or free.
    pub agents: u32,
    /// Agents among them who are free.
    pub free: u32,
    /// Mean work on one contact, in milliseconds.
    pub handle_ms: f64,
    /// Mean time until a customer gives up, in milliseconds, if it is known.
    pub patience_ms: Option<f64>,
}

/// How a wait is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ewt {
    /// The mean time until everyone ahead was served or gave up and one more agent is free, in the
    /// Erlang-A model: with `k` ahead, the next one leaves after `1 / (agents/handle +
    /// k/patience)` on average (queue-length announcement; Whitt, "Predicting Queueing Delays",
    /// Management Science 45, 1999).
    QueueLength,
    /// `handle × position / agents`: nobody gives up.
    Simple,
}

impl Ewt {
    /// The estimate in milliseconds; `None` with nobody to serve or no idea how long that takes.
    pub fn estimate_ms(self, ahead: &Ahead) -> Option<f64> {
        let agents = f64::from(ahead.agents);
        if ahead.agents == 0 || ahead.handle_ms.is_nan() || ahead.handle_ms <= 0.0 {
            return None;
        }
        if ahead.free > ahead.waiting {
            return Some(0.0);
        }
        let served = agents / ahead.handle_ms;
        Some(match self {
            Ewt::Simple => f64::from(ahead.waiting + 1) / served,
            Ewt::QueueLength => {
                let patience = ahead.patience_ms.filter(|ms| *ms > 0.0);
                let given_up = patience.map_or(0.0, |ms| 1.0 / ms);
                let step = |k: u32| 1.0 / (served + f64::from(k) * given_up);
                (0..=ahead.waiting).map(step).sum()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Ahead = Ahead {
        waiting: 2,
        agents: 3,
        free: 0,
        handle_ms: 300_000.0,
        patience_ms: Some(200_000.0),
    };

    #[test]
    fn three_agents_and_two_ahead() {
        // A completion every 100 s; with one ahead one leaves after 1/(1/100 + 1/200) s, with two
        // after 1/(1/100 + 2/200) s.
        let expected = 100_000.0 + 200_000.0 / 3.0 + 50_000.0;
        let got = Ewt::QueueLength.estimate_ms(&BUSY).unwrap_or_default();
        assert!((got - expected).abs() < 1e-6, "{got}");
        assert_eq!(Ewt::Simple.estimate_ms(&BUSY), Some(300_000.0));
        let patient = Ahead {
            patience_ms: None,
            ..BUSY
        };
        let got = Ewt::QueueLength.estimate_ms(&patient).unwrap_or_default();
        assert!((got - 300_000.0).abs() < 1e-6, "{got}");
    }

    #[test]
    fn a_free_agent_is_no_wait_and_no_agent_no_estimate() {
        for method in [Ewt::QueueLength, Ewt::Simple] {
            let free = Ahead { free: 3, ..BUSY };
            assert_eq!(method.estimate_ms(&free), Some(0.0));
            let nobody = Ahead { agents: 0, ..BUSY };
            assert_eq!(method.estimate_ms(&nobody), None);
            let unknown = Ahead {
                handle_ms: f64::NAN,
                ..BUSY
            };
            assert_eq!(method.estimate_ms(&unknown), None);
        }
    }
}
