//! How much a relay gives up so that the bus reaches it in time.
//!
//! A NATS server closes a connection that does not take what waits for it (`write_deadline`, ten
//! seconds unless set otherwise). Long before that the relay takes its interest back, layer by layer,
//! and later asks for it again, the more carefully the sooner that went wrong.

use std::time::Duration;

use videocall_types::Timestamp;

/// No video at all; there is nothing further to give up.
const MAX_LEVEL: u8 = 3;

/// Lag at which something has to be given up. Jitter buffers hide less than that.
const HIGH: Duration = Duration::from_millis(300);

/// Lag at which nothing waits.
const LOW: Duration = Duration::from_millis(80);

/// Lag at which there is no time for one step after the other, and how much is given up at once.
const URGENT: [(Duration, u8); 2] = [(Duration::from_secs(3), 3), (Duration::from_millis(1500), 2)];

/// A single late packet is no queue: the lag has to be high for so long.
const NOTICE: Duration = Duration::from_millis(400);

/// What was given up takes so long to show while the queue still grows.
const GROWING_STEP: Duration = Duration::from_millis(700);

/// A queue that shrinks is given this long before more is given up.
const SHRINKING_STEP: Duration = Duration::from_secs(3);

/// The lag has to be low for so long before something is taken back, at first.
const MIN_PATIENCE: Duration = Duration::from_secs(3);

/// And at most, after several vain tries.
const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// What was taken back and given up again within this time was taken back too soon.
const TRIAL: Duration = Duration::from_secs(10);

/// Turns the lag of the bus into how much is given up.
#[derive(Debug)]
pub(super) struct Pressure {
    level: u8,
    high_since: Option<Timestamp>,
    calm_since: Option<Timestamp>,
    raised: Option<(Timestamp, Duration)>,
    lowered_at: Option<Timestamp>,
    patience: Duration,
}

impl Pressure {
    pub(super) fn new() -> Self {
        Self {
            level: 0,
            high_since: None,
            calm_since: None,
            raised: None,
            lowered_at: None,
            patience: MIN_PATIENCE,
        }
    }

    /// Takes the lag as it is now and says what is to be given up: see [`super::Bus::pressure`].
    pub(super) fn observe(&mut self, lag: Duration, now: Timestamp) -> u8 {
        if lag >= HIGH {
            self.calm_since = None;
            let since = *self.high_since.get_or_insert(now);
            if now.since(since) >= NOTICE && self.may_raise(lag, now) {
                self.raise(lag, now);
            }
            return self.level;
        }
        self.high_since = None;
        if lag >= LOW {
            self.calm_since = None;
            return self.level;
        }
        let calm = now.since(*self.calm_since.get_or_insert(now));
        if self.level > 0 && calm >= self.patience {
            self.level -= 1;
            self.lowered_at = Some(now);
            self.calm_since = Some(now);
        } else if self.level == 0 && calm >= MAX_PATIENCE {
            self.patience = MIN_PATIENCE;
        }
        self.level
    }

    fn may_raise(&self, lag: Duration, now: Timestamp) -> bool {
        match self.raised {
            _ if self.level == MAX_LEVEL => false,
            _ if self.level < urgent(lag) => true,
            Some((at, then)) if self.level > 0 => {
                let step = if lag > then { GROWING_STEP } else { SHRINKING_STEP };
                now.since(at) >= step
            }
            _ => true,
        }
    }

    fn raise(&mut self, lag: Duration, now: Timestamp) {
        let too_soon = self.lowered_at.take().is_some_and(|at| now.since(at) < TRIAL);
        if too_soon {
            self.patience = (self.patience * 2).min(MAX_PATIENCE);
        }
        self.level = (self.level + 1).max(urgent(lag));
        self.raised = Some((now, lag));
    }
}

/// What a lag demands at least, once it is more than a moment's.
fn urgent(lag: Duration) -> u8 {
    URGENT
        .iter()
        .find(|(from, _)| lag >= *from)
        .map_or(0, |(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(200);

    /// A bus that carries `capacity` of what each level wants (100, 60, 30 and 5 units a second), and
    /// queues the rest. Returns the levels, tick by tick.
    fn run(pressure: &mut Pressure, start: Timestamp, seconds: u64, capacity: f64) -> Vec<(u8, f64)> {
        let wanted = [100.0, 60.0, 30.0, 5.0];
        let (mut queue, mut now, mut level) = (0.0_f64, start, 0_u8);
        let mut history = Vec::new();
        for _ in 0..seconds * 5 {
            now += TICK;
            queue = (queue + (wanted[usize::from(level)] - capacity) * TICK.as_secs_f64()).max(0.0);
            let lag = queue / capacity;
            level = pressure.observe(Duration::from_secs_f64(lag), now);
            history.push((level, lag));
        }
        history
    }

    #[test]
    fn a_bus_that_keeps_up_costs_nothing() {
        let mut pressure = Pressure::new();
        assert!(
            run(&mut pressure, Timestamp::ZERO, 60, 120.0)
                .iter()
                .all(|(level, _)| *level == 0)
        );
    }

    #[test]
    fn a_single_late_packet_costs_nothing() {
        let mut pressure = Pressure::new();
        for at in 0..100 {
            let lag = if at % 5 == 0 { 900 } else { 5 };
            let now = Timestamp::from_millis(at * 200);
            assert_eq!(pressure.observe(Duration::from_millis(lag), now), 0);
        }
    }

    #[test]
    fn the_lag_stays_far_below_what_servers_tolerate() {
        for capacity in [90.0, 50.0, 20.0, 10.0] {
            let mut pressure = Pressure::new();
            let history = run(&mut pressure, Timestamp::ZERO, 120, capacity);
            let worst = history.iter().fold(0.0_f64, |worst, (_, lag)| worst.max(*lag));
            assert!(worst < 6.5, "{capacity}: {worst}");
            assert!(history.iter().any(|(level, _)| *level > 0));
        }
    }

    #[test]
    fn what_goes_wrong_is_tried_less_and_less_often() {
        let mut pressure = Pressure::new();
        let history = run(&mut pressure, Timestamp::ZERO, 600, 70.0);
        let raises = |part: &[(u8, f64)]| part.windows(2).filter(|pair| pair[1].0 > pair[0].0).count();
        let (early, late) = history.split_at(history.len() / 4);
        assert!(raises(early) >= 2);
        assert!(raises(late) <= 10, "{} in {} s", raises(late), late.len() / 5);
    }

    #[test]
    fn when_the_bus_keeps_up_again_everything_is_taken_back() {
        let mut pressure = Pressure::new();
        let strangled = run(&mut pressure, Timestamp::ZERO, 30, 10.0);
        assert_eq!(strangled.last().expect("levels").0, MAX_LEVEL);
        let freed = run(&mut pressure, Timestamp::from_millis(30_000), 60, 200.0);
        assert_eq!(freed.last().expect("levels").0, 0);
        let steps: Vec<u8> = freed.iter().map(|(level, _)| *level).collect();
        assert!(
            steps
                .windows(2)
                .all(|pair| pair[1] <= pair[0] && pair[0] - pair[1] <= 1)
        );
    }
}
