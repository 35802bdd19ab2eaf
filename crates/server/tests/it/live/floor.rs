//! A floor that shows what the test wants.

use std::{collections::BTreeMap, sync::Arc};

use engine::{
    UsedKpi,
    live::{Cell, CellKey, CellValue, Day, Frame, Scope},
};
use events::UtcMicros;
use kpi::{Show, Status, Unit, UnitKind};
use server::{Settings, live::Frames};
use tokio::sync::watch;

use crate::fake::{NOW, Setup, start_live};

pub struct Floor {
    frame: Frame,
    frames: watch::Sender<Option<Arc<Frame>>>,
}

/// A figure of the whole centre.
pub fn total(figure: &str) -> CellKey {
    CellKey {
        scope: Scope::Total,
        figure: figure.into(),
    }
}

/// A figure of a queue.
pub fn of_queue(queue: &str, figure: &str) -> CellKey {
    CellKey {
        scope: Scope::Queue(queue.into()),
        figure: figure.into(),
    }
}

/// So many of something.
pub fn count(number: u32) -> Cell {
    Cell::plain(CellValue::Number(f64::from(number), unit(UnitKind::Count)))
}

fn unit(kind: UnitKind) -> Unit {
    Unit {
        kind,
        of: None,
        show: Show::usual(kind),
    }
}

impl Floor {
    fn new() -> (Floor, Frames) {
        let (frames, receiver) = watch::channel(None);
        let used = |id: &str| UsedKpi {
            id: id.to_owned(),
            version: 1,
            hash: format!("hash of {id}"),
            params: BTreeMap::new(),
        };
        let frame = Frame {
            epoch: 7,
            seq: 0,
            as_of: UtcMicros(NOW.0 - 12_345),
            watermark: Some(UtcMicros(NOW.0 - 2_000_000)),
            revision: 991,
            zone: "Asia/Shanghai".into(),
            day: Day {
                date: "2026-03-03".to_owned(),
                start: UtcMicros(NOW.0 - 3_600_000_000),
                end: UtcMicros(NOW.0 + 82_800_000_000),
            },
            kpis: [used("service_level"), used("nps")].into(),
            cells: BTreeMap::new(),
        };
        (Floor { frame, frames }, receiver)
    }

    /// A server that shows the floor, without a frame yet; frames follow each other quickly.
    pub fn open(change: impl FnOnce(&mut Settings)) -> (Setup, Floor) {
        let (floor, frames) = Floor::new();
        let setup = start_live(frames, |settings| {
            settings.live_frame_every = std::time::Duration::from_millis(1);
            change(settings);
        });
        (setup, floor)
    }

    /// The next frame, with these cells changed; its number.
    pub fn show(&mut self, cells: impl IntoIterator<Item = (CellKey, Cell)>) -> u64 {
        let cells = cells.into_iter().map(|(key, cell)| (key, Arc::new(cell)));
        self.frame.cells.extend(cells);
        self.send()
    }

    /// The next frame, without a cell.
    pub fn hide(&mut self, key: &CellKey) -> u64 {
        self.frame.cells.remove(key);
        self.send()
    }

    /// What a new process would show.
    pub fn restart(&mut self) -> u64 {
        (self.frame.epoch, self.frame.seq) = (self.frame.epoch + 1, 0);
        self.send()
    }

    fn send(&mut self) -> u64 {
        self.frame.seq += 1;
        self.frames.send_replace(Some(Arc::new(self.frame.clone())));
        self.frame.seq
    }
}

/// A service level of 45 in 54, above its target.
pub fn service_level() -> Cell {
    Cell {
        value: CellValue::Number(45.0 / 54.0, unit(UnitKind::Ratio)),
        status: Status::Good,
        n: Some(54.0),
        numerator: Some(45.0),
        denominator: Some(54.0),
        target: Some(0.8),
    }
}
