//! Small line charts: what each shows, and its lines as the data of SVG paths.

use super::history::{LENGTH, Line, Series};

/// What a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// What is sent, and what the path is taken to carry.
    Upload,
    /// What is received.
    Download,
    /// To the relay and back.
    RoundTrip,
    /// Of a person or a camera.
    Bitrate,
    /// Of a person or a camera.
    FrameRate,
    /// The size of pictures, which is that of their layer.
    Resolution,
    /// Time in which a picture stood still and sound was made up.
    Stalls,
    /// Sound that did not come.
    Loss,
    /// Sound that waits to be played, and how much of it should.
    Buffer,
    /// From capture to display.
    Delay,
}

impl Chart {
    /// Of the connection.
    pub const CONNECTION: [Self; 3] = [Self::Upload, Self::Download, Self::RoundTrip];
    /// Of one's own camera or screen.
    pub const SENT: [Self; 3] = [Self::Bitrate, Self::FrameRate, Self::Resolution];
    /// Of somebody else.
    pub const RECEIVED: [Self; 7] = [
        Self::Bitrate,
        Self::FrameRate,
        Self::Resolution,
        Self::Delay,
        Self::Stalls,
        Self::Loss,
        Self::Buffer,
    ];

    /// Its lines; the second one is dashed.
    pub const fn lines(self) -> &'static [Line] {
        match self {
            Self::Upload => &[Line::Sent, Line::Carries],
            Self::Download => &[Line::Received],
            Self::RoundTrip => &[Line::RoundTrip],
            Self::Bitrate => &[Line::Bitrate],
            Self::FrameRate => &[Line::FrameRate],
            Self::Resolution => &[Line::Lines],
            Self::Stalls => &[Line::Frozen, Line::Concealed],
            Self::Loss => &[Line::Loss],
            Self::Buffer => &[Line::Buffer, Line::Target],
            Self::Delay => &[Line::Delay],
        }
    }

    /// The least that the upper end of its axis stands for, so that a quiet line does not look like a storm.
    pub const fn least_top(self) -> f32 {
        match self {
            Self::Upload | Self::Download | Self::Bitrate => 100_000.0,
            Self::RoundTrip | Self::Delay | Self::Buffer => 100.0,
            Self::FrameRate => 30.0,
            Self::Resolution => 200.0,
            Self::Stalls => 1000.0,
            Self::Loss => 10.0,
        }
    }
}

/// Pixels of a chart's own coordinates; it is drawn as wide as there is room.
pub const WIDTH: f32 = 300.0;
/// Likewise.
pub const HEIGHT: f32 = 56.0;

/// A line's path data (SVG 2 §9.3) below `top`, the newest value at the right edge. What is not known is a gap;
/// a single value between gaps is a dot, as wide as the line's round ends.
pub fn path(series: &Series, top: f32) -> String {
    let count = series.values().len();
    let mut path = String::new();
    let mut drawing = false;
    for (index, value) in series.values().enumerate() {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let x = WIDTH * (LENGTH - count + index) as f32 / (LENGTH - 1) as f32;
        let y = HEIGHT * (1.0 - (value / top).clamp(0.0, 1.0));
        if drawing {
            path.push_str(&format!("L{x:.1} {y:.1}"));
        } else {
            path.push_str(&format!("M{x:.1} {y:.1}h0"));
            drawing = true;
        }
    }
    path
}

/// The upper end of an axis: the next of 1, 2 and 5 times a power of ten that leaves no value out, at least `least`.
pub fn top(largest: f32, least: f32) -> f32 {
    let largest = if largest.is_finite() {
        largest.max(least)
    } else {
        least
    };
    let power = 10_f32.powf(largest.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|&step| step >= largest * 0.999)
        .unwrap_or(largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::figures::{ConnectionFigures, Figures};
    use crate::state::history::{History, Line, Subject};

    fn series(values: &[Option<f64>]) -> Series {
        let mut history = History::default();
        for (second, &rtt_ms) in values.iter().enumerate() {
            history.record(Figures {
                at_ms: second as f64 * 1000.0,
                connection: ConnectionFigures {
                    rtt_ms,
                    ..ConnectionFigures::default()
                },
                ..Figures::default()
            });
        }
        let series = history.series(Subject::Connection, Line::RoundTrip);
        series.cloned().expect("recorded")
    }

    #[test]
    fn the_newest_value_is_at_the_right_edge() {
        let path = path(&series(&[Some(0.0), Some(50.0), Some(100.0)]), 100.0);
        assert_eq!(path, "M296.6 56.0h0L298.3 28.0L300.0 0.0");
    }

    #[test]
    fn gaps_stay_gaps() {
        let path = path(&series(&[Some(50.0), None, Some(50.0)]), 100.0);
        assert_eq!(path, "M296.6 28.0h0M300.0 28.0h0");
    }

    #[test]
    fn what_is_beyond_the_axis_stays_in_the_picture() {
        let path = path(&series(&[Some(500.0), Some(-5.0)]), 100.0);
        assert_eq!(path, "M298.3 0.0h0L300.0 56.0");
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (largest, least, wanted) in [
            (0.0, 50.0, 50.0),
            (51.0, 50.0, 100.0),
            (100.0, 1.0, 100.0),
            (130.0, 1.0, 200.0),
            (1_300_000.0, 1.0, 2_000_000.0),
            (4.2, 1.0, 5.0),
            (f32::NAN, 10.0, 10.0),
        ] {
            assert_eq!(top(largest, least), wanted, "{largest}");
        }
    }
}
