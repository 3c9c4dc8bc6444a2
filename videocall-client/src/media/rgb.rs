//! Pictures as decoders deliver them (luminance and colour apart, colour at half the resolution) become what a
//! canvas takes: red, green, blue, opaque.

/// How a picture's samples stand for colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    luma_offset: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

/// Fractional bits of the factors.
const FRACTION: u32 = 14;

impl Matrix {
    /// By the names of W3C WebCodecs §9.9; what is not stated is taken for BT.709, as browsers do.
    pub fn new(matrix: Option<&str>, full_range: bool) -> Self {
        // Shares of red and blue in the luminance (ITU-T H.273, table 4).
        let (red, blue) = match matrix {
            Some("smpte170m" | "bt470bg") => (0.299, 0.114),
            Some("bt2020-ncl") => (0.2627, 0.0593),
            _ => (0.2126, 0.0722),
        };
        let green = 1.0 - red - blue;
        // Limited range: 16 to 235, and 16 to 240 for colour.
        let (offset, luma, chroma) = match full_range {
            true => (0, 1.0, 1.0),
            false => (16, 255.0 / 219.0, 255.0 / 224.0),
        };
        let fixed = |factor: f64| (factor * f64::from(1 << FRACTION)).round() as i32;
        Self {
            luma_offset: offset,
            luma: fixed(luma),
            red_v: fixed(2.0 * (1.0 - red) * chroma),
            green_u: fixed(2.0 * (1.0 - blue) * blue / green * chroma),
            green_v: fixed(2.0 * (1.0 - red) * red / green * chroma),
            blue_u: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }

    /// What a pair of colour samples adds to red, green and blue, with the rounding.
    fn colour(&self, u: u8, v: u8) -> [i32; 3] {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let half = 1 << (FRACTION - 1);
        [
            self.red_v * v + half,
            half - self.green_u * u - self.green_v * v,
            self.blue_u * u + half,
        ]
    }
}

/// A plane of samples: its bytes, and how many of them a row takes.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// From the first sample on.
    pub bytes: &'a [u8],
    /// Bytes from row to row.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    fn row(&self, row: usize, length: usize) -> Option<&'a [u8]> {
        let start = row.checked_mul(self.stride)?;
        self.bytes.get(start..start.checked_add(length)?)
    }
}

/// The colour of a picture, at half its width and height.
#[derive(Clone, Copy, Debug)]
pub enum Chroma<'a> {
    /// Both in planes of their own (`I420`): U, V.
    Apart(Plane<'a>, Plane<'a>),
    /// In turns in one plane (`NV12`).
    Together(Plane<'a>),
}

/// Writes a picture into `pixels`, which becomes four bytes per pixel, row by row. `None`: the planes are smaller
/// than the picture.
pub fn write_rgba(
    luma: Plane<'_>,
    chroma: Chroma<'_>,
    (width, height): (usize, usize),
    matrix: &Matrix,
    pixels: &mut Vec<u8>,
) -> Option<()> {
    pixels.resize(width.checked_mul(height)?.checked_mul(4)?, 255);
    let pairs = width.div_ceil(2);
    for (row, output) in pixels.chunks_exact_mut((width * 4).max(1)).enumerate() {
        let luma = luma.row(row, width)?;
        match chroma {
            Chroma::Apart(u, v) => {
                let (u, v) = (u.row(row / 2, pairs)?, v.row(row / 2, pairs)?);
                write_row(luma, u.iter().copied().zip(v.iter().copied()), matrix, output);
            }
            Chroma::Together(uv) => {
                let uv = uv.row(row / 2, pairs * 2)?;
                write_row(
                    luma,
                    uv.chunks_exact(2).map(|pair| (pair[0], pair[1])),
                    matrix,
                    output,
                );
            }
        }
    }
    Some(())
}

fn write_row(luma: &[u8], chroma: impl Iterator<Item = (u8, u8)>, matrix: &Matrix, output: &mut [u8]) {
    let clamped = |value: i32| (value >> FRACTION).clamp(0, 255) as u8;
    for ((luma, pixels), (u, v)) in luma.chunks(2).zip(output.chunks_mut(8)).zip(chroma) {
        let [red, green, blue] = matrix.colour(u, v);
        for (&luma, pixel) in luma.iter().zip(pixels.chunks_exact_mut(4)) {
            let luma = (i32::from(luma) - matrix.luma_offset) * matrix.luma;
            pixel.copy_from_slice(&[
                clamped(luma + red),
                clamped(luma + green),
                clamped(luma + blue),
                255,
            ]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(y: u8, u: u8, v: u8, matrix: &Matrix) -> [u8; 4] {
        let plane = |sample: &'static [u8]| Plane {
            bytes: sample,
            stride: 1,
        };
        let mut pixels = Vec::new();
        let leaked = |sample: u8| &*Box::leak(vec![sample].into_boxed_slice());
        let chroma = Chroma::Apart(plane(leaked(u)), plane(leaked(v)));
        write_rgba(plane(leaked(y)), chroma, (1, 1), matrix, &mut pixels).expect("large enough");
        pixels.try_into().expect("one pixel")
    }

    #[test]
    fn known_colours_come_out() {
        // Black, white, and pure red, green and blue by BT.601 (ITU-R BT.601-7 §2.5) and BT.709 (-6 §3).
        let cases = [
            (Some("smpte170m"), (16, 128, 128), [0, 0, 0]),
            (Some("smpte170m"), (235, 128, 128), [255, 255, 255]),
            (Some("smpte170m"), (81, 90, 240), [255, 0, 0]),
            (Some("smpte170m"), (145, 54, 34), [0, 255, 0]),
            (Some("smpte170m"), (41, 240, 110), [0, 0, 255]),
            (Some("bt709"), (63, 102, 240), [255, 0, 0]),
            (None, (173, 42, 26), [0, 255, 0]),
            (Some("bt709"), (32, 240, 118), [0, 0, 255]),
        ];
        for (name, (y, u, v), expected) in cases {
            let [red, green, blue, alpha] = one(y, u, v, &Matrix::new(name, false));
            for (found, wanted) in [red, green, blue].into_iter().zip(expected) {
                assert!(
                    found.abs_diff(wanted) <= 2,
                    "{name:?} {y} {u} {v}: {red} {green} {blue}"
                );
            }
            assert_eq!(alpha, 255);
        }
        assert_eq!(one(200, 128, 128, &Matrix::new(None, true)), [200, 200, 200, 255]);
    }

    #[test]
    fn both_arrangements_give_the_same_picture_of_odd_size() {
        let (width, height) = (5, 3);
        let luma: Vec<u8> = (0..8 * height).map(|index| (index * 9) as u8).collect();
        let (u, v): (Vec<u8>, Vec<u8>) = ((20..32).collect(), (200..212).collect());
        let together: Vec<u8> = u.iter().zip(&v).flat_map(|(&u, &v)| [u, v]).collect();
        let plane = |bytes, stride| Plane { bytes, stride };
        let matrix = Matrix::new(None, false);
        let (mut apart, mut joined) = (Vec::new(), vec![7; 1000]);
        let luma = plane(&luma[..], 8);
        let chroma = Chroma::Apart(plane(&u[..], 4), plane(&v[..], 4));
        write_rgba(luma, chroma, (width, height), &matrix, &mut apart).expect("large enough");
        let chroma = Chroma::Together(plane(&together[..], 8));
        write_rgba(luma, chroma, (width, height), &matrix, &mut joined).expect("large enough");
        assert_eq!(apart.len(), width * height * 4);
        assert_eq!(apart, joined);
        let distinct: std::collections::BTreeSet<_> = apart.chunks(4).collect();
        assert!(distinct.len() > width, "{distinct:?}");
    }

    #[test]
    fn planes_that_are_too_small_are_refused() {
        let plane = |bytes| Plane { bytes, stride: 4 };
        let chroma = Chroma::Together(plane(&[0; 8]));
        let written = write_rgba(
            plane(&[0; 15]),
            chroma,
            (4, 4),
            &Matrix::new(None, false),
            &mut Vec::new(),
        );
        assert_eq!(written, None);
    }
}
