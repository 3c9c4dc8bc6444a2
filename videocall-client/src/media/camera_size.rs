//! How large and how often a camera is asked for its pictures: as is encoded at most, no more. Its layers remain those of all
//! that it gives, so that whoever wants a larger one can ask for it.
//!
//! It is asked for less after a while, for more at once. Cameras differ in what they make of that, so nothing is
//! believed but the pictures: one that pauses when it is asked, or changes the shape of what it shows, is not asked for less
//! again. Asking is left to the page, encoding to the sender.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use videocall_types::Timestamp;

/// Less has to be enough for so long: a tile that moves about is not to switch anybody's camera over and over.
const LESS_AFTER: Duration = Duration::from_secs(5);

/// A camera that captures nothing for so long after it was asked, and for so many times longer than it does at times by
/// itself, cannot change without a pause. Microseconds.
const PAUSE_US: i64 = 400_000;
const PAUSE_FACTOR: f64 = 2.0;

/// What a camera does at times by itself is the longest interval lately: it counts less with each picture.
const FORGET: f64 = 0.99;

/// What was asked shows within this time, and so does the pause that it makes.
const SHOWS_WITHIN: Duration = Duration::from_secs(3);

/// What a camera is asked for at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CameraSize {
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    /// Pictures per second.
    pub(crate) frames_per_second: u32,
}

impl CameraSize {
    /// Whether the other one asks for something that this one does not.
    fn lacks(&self, other: &Self) -> bool {
        other.width > self.width
            || other.height > self.height
            || other.frames_per_second > self.frames_per_second
    }

    const fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }
}

/// What a camera gives, what it was asked for, and what it is to be asked for.
#[derive(Debug, Default)]
pub(crate) struct CameraSizing {
    /// Pixels of its pictures when it is asked for all.
    full: (u32, u32),
    /// Pixels of its newest picture.
    captured: (u32, u32),
    /// By the camera's clock, microseconds.
    captured_us: Option<i64>,
    /// The longest time between two pictures lately, microseconds.
    longest_us: f64,
    /// `None`: for all.
    asked: Option<CameraSize>,
    asked_at: Option<Timestamp>,
    /// Less would be enough since then.
    less_since: Option<Timestamp>,
    /// It gives less than what is wanted since then.
    short_since: Option<Timestamp>,
    /// It is asked for all and for nothing else.
    rigid: bool,
}

impl CameraSizing {
    /// Of a source that is never asked for less, such as a screen.
    pub(crate) fn rigid() -> Self {
        Self {
            rigid: true,
            ..Self::default()
        }
    }

    /// Pixels of the pictures when the source is asked for all.
    pub(crate) const fn full(&self) -> (u32, u32) {
        self.full
    }

    /// Pixels of the newest picture; `None` before the first.
    pub(crate) fn newest(&self) -> Option<(u32, u32)> {
        self.captured_us.map(|_| self.captured)
    }

    /// A picture of so many pixels has come, captured then by the camera's clock.
    pub(crate) fn captured(&mut self, size: (u32, u32), stamp_us: i64, now: Timestamp) {
        let asked_lately = self.asked_at.is_some_and(|at| now.since(at) < SHOWS_WITHIN);
        let before = self.captured_us.replace(stamp_us).unwrap_or(stamp_us);
        let interval = stamp_us.saturating_sub(before);
        let unusual = interval as f64 > self.longest_us * PAUSE_FACTOR;
        if asked_lately && interval > PAUSE_US && unusual {
            self.rigid = true;
        }
        self.longest_us = (self.longest_us * FORGET).max(interval as f64);
        self.captured = size;
        let turned = (self.full.1, self.full.0);
        if self.asked.is_none() && !asked_lately {
            self.full = size;
        } else if is_same_picture(size, turned) && !is_same_picture(size, self.full) {
            self.full = turned;
        } else if !is_same_picture(size, self.full) {
            self.rigid = true;
            self.full = size;
        }
    }

    /// Whether the newest picture has room for one of this size: nothing is made larger than it was captured.
    pub(crate) fn has_room_for(&self, size: (u32, u32)) -> bool {
        // Cameras round as they like.
        self.captured.0 + 2 >= size.0 && self.captured.1 + 2 >= size.1
    }

    /// The largest that is to be encoded of it is this; `None` while nothing is. What the camera is to be asked for, if
    /// that is something else than before; `Some(None)` is all.
    pub(crate) fn want(&mut self, wanted: Option<CameraSize>, now: Timestamp) -> Option<Option<CameraSize>> {
        // While nobody looks, whoever comes next may want anything.
        let wanted = wanted?;
        self.note_shortage(&wanted, now);
        // Where a camera is upright, constraints may mean the picture or the sensor.
        let upright = self.full.1 > self.full.0;
        let reduced = wanted.width < self.full.0 && wanted.height < self.full.1;
        let target = (reduced && !upright && !self.rigid).then_some(wanted);
        let more = match (&self.asked, &target) {
            (Some(asked), Some(target)) => asked.lacks(target),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if target == self.asked {
            self.less_since = None;
            return None;
        }
        let since = *self.less_since.get_or_insert(now);
        if !more && now.since(since) < LESS_AFTER {
            return None;
        }
        self.less_since = None;
        self.asked = target;
        self.asked_at = Some(now);
        Some(target)
    }

    /// A camera that was asked for more and does not give it has no more.
    fn note_shortage(&mut self, wanted: &CameraSize, now: Timestamp) {
        if self.has_room_for(wanted.size()) {
            self.short_since = None;
            return;
        }
        let since = *self.short_since.get_or_insert(now);
        if now.since(since) >= SHOWS_WITHIN {
            self.short_since = None;
            self.rigid = true;
            self.full = self.captured;
        }
    }
}

/// Whether this can be the same picture with fewer pixels, up to rounding.
fn is_same_picture((width, height): (u32, u32), full: (u32, u32)) -> bool {
    let (across, down) = (
        u64::from(width) * u64::from(full.1),
        u64::from(height) * u64::from(full.0),
    );
    let rounding = 2 * (u64::from(full.0) + u64::from(full.1));
    width <= full.0 && height <= full.1 && across.abs_diff(down) <= rounding
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: (u32, u32) = (1280, 720);
    const SMALL: CameraSize = size(320, 180, 15);
    const MIDDLE: CameraSize = size(640, 360, 30);
    const LARGE: CameraSize = size(1280, 720, 30);

    const fn size(width: u32, height: u32, frames_per_second: u32) -> CameraSize {
        CameraSize {
            width,
            height,
            frames_per_second,
        }
    }

    fn stamp(now: Timestamp) -> i64 {
        now.as_micros() as i64
    }

    /// A camera with thirty pictures a second, and what it was asked for.
    struct Camera {
        sizing: CameraSizing,
        now: Timestamp,
        gives: (u32, u32),
        obeys: bool,
        asked: Vec<Option<CameraSize>>,
    }

    impl Camera {
        fn new(gives: (u32, u32)) -> Self {
            Self {
                sizing: CameraSizing::default(),
                now: Timestamp::from_millis(1_000),
                gives,
                obeys: true,
                asked: Vec::new(),
            }
        }

        fn run(&mut self, seconds: f64, wanted: Option<CameraSize>) {
            let full = self.gives;
            let mut gives = self
                .sizing
                .asked
                .filter(|_| self.obeys)
                .map_or(full, |asked| asked.size());
            for _ in 0..(seconds * 30.0) as u32 {
                self.now += Duration::from_millis(33);
                self.sizing.captured(gives, stamp(self.now), self.now);
                if let Some(asked) = self.sizing.want(wanted, self.now) {
                    self.asked.push(asked);
                    if self.obeys {
                        gives = asked.map_or(full, |asked| asked.size());
                    }
                }
            }
        }
    }

    #[test]
    fn a_camera_is_asked_for_less_after_a_while_and_for_more_at_once() {
        let mut camera = Camera::new(FULL);
        camera.run(4.9, Some(SMALL));
        assert_eq!(camera.asked, []);
        camera.run(0.5, Some(SMALL));
        assert_eq!(camera.asked, [Some(SMALL)]);
        camera.run(20.0, Some(SMALL));
        camera.run(0.1, Some(MIDDLE));
        assert_eq!(camera.asked, [Some(SMALL), Some(MIDDLE)]);
        camera.run(0.1, Some(LARGE));
        assert_eq!(camera.asked, [Some(SMALL), Some(MIDDLE), None]);
        assert_eq!(camera.sizing.full(), FULL);
    }

    #[test]
    fn its_layers_are_those_of_all_it_gives() {
        let mut camera = Camera::new(FULL);
        camera.run(7.0, Some(SMALL));
        assert_eq!(
            (camera.sizing.newest(), camera.sizing.full()),
            (Some((320, 180)), FULL)
        );
        assert!(camera.sizing.has_room_for((320, 180)) && !camera.sizing.has_room_for((640, 360)));
    }

    #[test]
    fn nobody_who_looks_changes_nothing_and_who_comes_and_goes_neither() {
        let mut camera = Camera::new(FULL);
        camera.run(20.0, None);
        for _ in 0..10 {
            camera.run(3.0, Some(SMALL));
            camera.run(0.2, Some(LARGE));
        }
        assert_eq!(camera.asked, []);
    }

    #[test]
    fn a_camera_that_pauses_is_asked_for_all_and_left_alone() {
        let mut camera = Camera::new(FULL);
        camera.run(5.1, Some(SMALL));
        camera.now += Duration::from_millis(400);
        camera.run(60.0, Some(SMALL));
        assert_eq!(camera.asked, [Some(SMALL), None]);
    }

    #[test]
    fn a_camera_that_pauses_by_itself_may_do_so_when_it_is_asked() {
        let mut camera = Camera::new(FULL);
        for _ in 0..10 {
            camera.run(0.6, Some(SMALL));
            camera.now += Duration::from_millis(400);
        }
        assert_eq!(camera.asked, [Some(SMALL)]);
    }

    #[test]
    fn a_camera_that_does_not_obey_goes_on_as_before() {
        let mut camera = Camera::new(FULL);
        camera.obeys = false;
        camera.run(20.0, Some(SMALL));
        assert_eq!(camera.sizing.full(), FULL);
        assert!(camera.sizing.has_room_for(LARGE.size()));
    }

    #[test]
    fn a_camera_that_gives_no_more_again_has_no_more() {
        let mut camera = Camera::new(FULL);
        camera.run(7.0, Some(SMALL));
        camera.gives = SMALL.size();
        camera.run(2.0, Some(LARGE));
        assert_eq!(camera.sizing.full(), FULL, "it may take a moment");
        camera.run(2.0, Some(LARGE));
        assert_eq!(camera.sizing.full(), SMALL.size());
    }

    #[test]
    fn a_camera_that_shows_another_part_is_asked_for_all() {
        let mut camera = Camera::new((640, 480));
        camera.run(7.0, Some(size(240, 180, 15)));
        camera.gives = (640, 480);
        camera.now += Duration::from_millis(33);
        camera.sizing.captured((240, 136), stamp(camera.now), camera.now);
        camera.run(0.1, Some(size(240, 180, 15)));
        assert_eq!(camera.asked, [Some(size(240, 180, 15)), None]);
        camera.run(20.0, Some(size(240, 180, 15)));
        assert_eq!((camera.asked.len(), camera.sizing.full()), (2, (640, 480)));
    }

    #[test]
    fn upright_pictures_are_left_alone_also_when_a_phone_is_turned() {
        let mut camera = Camera::new((720, 1280));
        camera.run(20.0, Some(size(180, 320, 15)));
        assert_eq!(camera.asked, []);
        let mut camera = Camera::new(FULL);
        camera.run(7.0, Some(SMALL));
        camera.now += Duration::from_millis(33);
        camera.sizing.captured((180, 320), stamp(camera.now), camera.now);
        assert_eq!(camera.sizing.full(), (720, 1280));
        camera.gives = (720, 1280);
        camera.sizing.asked = Some(size(180, 320, 15));
        camera.run(0.1, Some(size(180, 320, 15)));
        assert_eq!(camera.asked.last(), Some(&None));
    }

    #[test]
    fn what_is_rigid_changes_its_size_by_itself() {
        let mut screen = CameraSizing::rigid();
        let mut now = Timestamp::from_millis(1_000);
        for size in [(800, 600), (400, 300), (1000, 300)] {
            now += Duration::from_secs(9);
            screen.captured(size, stamp(now), now);
            let wanted = CameraSize {
                width: 100,
                height: 50,
                frames_per_second: 1,
            };
            assert_eq!((screen.full(), screen.want(Some(wanted), now)), (size, None));
        }
    }
}
