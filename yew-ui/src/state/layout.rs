//! Where tiles go: the grid of a meeting, the strip beside a shared screen, the floating picture of oneself.
//!
//! Pure geometry in CSS pixels; drawing the tiles is the stage component's business.

/// Space between tiles: wide enough to part pictures, narrow enough not to cost any.
pub const GAP: f64 = 8.0;

/// The shape that cameras have and tiles are made for.
const PICTURE_RATIO: f64 = 16.0 / 9.0;

/// The shape down to which a taller tile counts as a larger one when grids are compared. Beyond a square, height
/// only cuts off more of a camera's width.
const COUNTED_RATIO: f64 = 1.0;

/// How tall a tile may become where there is room below it (3:4): a face still fills it.
const TALLEST_RATIO: f64 = 3.0 / 4.0;

/// How tall one's own picture may become while nobody else is there (9:16): phones' cameras are as tall.
const TALLEST_OWN_RATIO: f64 = 9.0 / 16.0;

/// A measure of the stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
}

/// Where a tile is, relative to the stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Pixels from the left.
    pub left: f64,
    /// Pixels from the top.
    pub top: f64,
    /// Pixels.
    pub width: f64,
    /// Pixels.
    pub height: f64,
}

/// Smaller tiles show nobody's face. Pixels.
const SMALLEST_TILE: Size = Size {
    width: 150.0,
    height: 100.0,
};

/// The same beside something large: a strip is for seeing who is there.
const SMALLEST_IN_STRIP: Size = Size {
    width: 96.0,
    height: 62.0,
};

/// More pictures than this are too many for most devices to decode and for anybody to watch.
const MOST_TILES: usize = 25;

/// How many tiles of each kind there are, besides one's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// Everybody else who is shown.
    pub cameras: usize,
    /// Shared screens.
    pub screens: usize,
    /// Which of the cameras is large; only without shared screens.
    pub large: Option<usize>,
    /// There is a tile that tells of those who are not shown.
    pub more: bool,
}

/// Where everything goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arrangement {
    /// Everybody else, in order.
    pub cameras: Vec<Rect>,
    /// Shared screens, in order.
    pub screens: Vec<Rect>,
    /// The tile that tells of those who are not shown, if there is one.
    pub more: Option<Rect>,
    /// One's own picture.
    pub own: Rect,
    /// One's own picture lies upon another one.
    pub own_floats: bool,
}

/// Columns and rows of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Tiles in a full row.
    pub columns: usize,
    /// Rows; the last may be shorter.
    pub rows: usize,
}

/// Lays out a meeting: an even grid; with one other person, that person large and oneself in the corner; with
/// shared screens or somebody who is to be large, those large and the others in a strip on the longer side.
pub fn arrange(scene: Scene, stage: Size) -> Arrangement {
    if scene.screens > 0 {
        return with_screens(scene, stage);
    }
    let whole = Rect {
        left: 0.0,
        top: 0.0,
        width: stage.width,
        height: stage.height,
    };
    if scene.cameras == 1 && !scene.more {
        let cameras = place(1, whole, TALLEST_RATIO);
        let other = cameras.first().copied().unwrap_or_default();
        return Arrangement {
            cameras,
            own: corner(stage, other),
            own_floats: true,
            ..Arrangement::default()
        };
    }
    if let Some(large) = scene.large.filter(|&large| large < scene.cameras) {
        return with_large(scene, large, stage);
    }
    let tallest = if scene.cameras == 0 {
        TALLEST_OWN_RATIO
    } else {
        TALLEST_RATIO
    };
    Arrangement::of_people(scene.cameras, scene.more, |count| place(count, whole, tallest))
}

/// How many tiles of others fit on the stage so that each can be made out, at least one. With `beside`, something
/// else is large; it is not counted.
pub fn room(stage: Size, beside: bool) -> usize {
    let (area, smallest) = if beside {
        let (_, strip) = split(stage);
        let strip = Size {
            width: strip.width,
            height: strip.height,
        };
        (strip, SMALLEST_IN_STRIP)
    } else {
        (stage, SMALLEST_TILE)
    };
    let fits = |count: usize| {
        let cell = cell_of(best_grid(count, area), area);
        cell.width >= smallest.width && cell.height >= smallest.height
    };
    // Oneself is there, too.
    let tiles = (2..=MOST_TILES).rev().find(|&count| fits(count)).unwrap_or(2);
    tiles - 1
}

impl Arrangement {
    /// Everybody else, the tile for the others and one's own, placed one after the other.
    fn of_people(cameras: usize, more: bool, place: impl FnOnce(usize) -> Vec<Rect>) -> Self {
        let mut rects = place(cameras + usize::from(more) + 1);
        let own = rects.pop().unwrap_or_default();
        Self {
            more: more.then(|| rects.pop().unwrap_or_default()),
            cameras: rects,
            own,
            ..Self::default()
        }
    }
}

/// The grid in which tiles between 16:9 and square become largest; of equals, the one with the fewest empty places.
pub fn best_grid(count: usize, area: Size) -> Grid {
    let count = count.max(1);
    let mut best = Grid {
        columns: 1,
        rows: count,
    };
    let mut best_area = 0.0;
    for columns in 1..=count {
        let grid = Grid {
            columns,
            rows: count.div_ceil(columns),
        };
        let tile = tile_of(cell_of(grid, area), COUNTED_RATIO);
        let tile_area = tile.width * tile.height;
        let fuller = grid.columns * grid.rows < best.columns * best.rows;
        if tile_area > best_area + 1.0 || (tile_area > best_area - 1.0 && fuller) {
            best = grid;
            best_area = tile_area;
        }
    }
    best
}

fn with_screens(scene: Scene, stage: Size) -> Arrangement {
    let (main, strip) = split(stage);
    Arrangement {
        screens: place(scene.screens, main, 0.0),
        ..Arrangement::of_people(scene.cameras, scene.more, |count| {
            place(count, strip, PICTURE_RATIO)
        })
    }
}

fn with_large(scene: Scene, large: usize, stage: Size) -> Arrangement {
    let (main, strip) = split(stage);
    let others = scene.cameras - 1;
    let mut arrangement =
        Arrangement::of_people(others, scene.more, |count| place(count, strip, PICTURE_RATIO));
    let rect = place(1, main, TALLEST_RATIO).pop().unwrap_or_default();
    arrangement.cameras.insert(large, rect);
    arrangement
}

/// The large area and the strip beside or below it.
fn split(stage: Size) -> (Rect, Rect) {
    if stage.width > stage.height {
        // A fifth shows faces well; beyond 300 pixels the screen needs the room more.
        let strip = (stage.width * 0.2).clamp(140.0, 300.0).min(stage.width / 2.0);
        let main = (stage.width - strip - GAP).max(0.0);
        (
            Rect {
                left: 0.0,
                top: 0.0,
                width: main,
                height: stage.height,
            },
            Rect {
                left: main + GAP,
                top: 0.0,
                width: strip,
                height: stage.height,
            },
        )
    } else {
        let strip = (stage.height * 0.25).clamp(96.0, 220.0).min(stage.height / 2.0);
        let main = (stage.height - strip - GAP).max(0.0);
        (
            Rect {
                left: 0.0,
                top: 0.0,
                width: stage.width,
                height: main,
            },
            Rect {
                left: 0.0,
                top: main + GAP,
                width: stage.width,
                height: strip,
            },
        )
    }
}

/// The lower right corner of the other's tile, small enough to leave their face free.
fn corner(stage: Size, other: Rect) -> Rect {
    let (width, ratio) = if stage.width >= stage.height {
        ((stage.width * 0.2).clamp(132.0, 260.0), PICTURE_RATIO)
    } else {
        ((stage.width * 0.28).clamp(88.0, 180.0), TALLEST_RATIO)
    };
    let width = width.min(other.width / 2.0).min(other.height / 2.0 * ratio);
    let height = width / ratio;
    let margin = GAP * 1.5;
    Rect {
        left: (other.left + other.width - width - margin).max(0.0),
        top: (other.top + other.height - height - margin).max(0.0),
        width,
        height,
    }
}

/// Equal tiles in the best grid within an area, rows centred; no tile is narrower for its height than `tallest`.
/// A `tallest` of zero gives each tile its whole cell.
fn place(count: usize, area: Rect, tallest: f64) -> Vec<Rect> {
    if count == 0 {
        return Vec::new();
    }
    let grid = best_grid(
        count,
        Size {
            width: area.width,
            height: area.height,
        },
    );
    let cell = cell_of(
        grid,
        Size {
            width: area.width,
            height: area.height,
        },
    );
    let tile = if tallest == 0.0 {
        cell
    } else {
        let width = cell.width.min(cell.height * PICTURE_RATIO);
        Size {
            width,
            height: cell.height.min(width / tallest),
        }
    };
    let rows = grid.rows as f64;
    let block_height = rows * tile.height + (rows - 1.0) * GAP;
    let top = area.top + (area.height - block_height) / 2.0;
    (0..count)
        .map(|index| {
            let (row, column) = (index / grid.columns, index % grid.columns);
            let in_row = grid.columns.min(count - row * grid.columns) as f64;
            let row_width = in_row * tile.width + (in_row - 1.0) * GAP;
            let left = area.left + (area.width - row_width) / 2.0;
            Rect {
                left: left + column as f64 * (tile.width + GAP),
                top: top + row as f64 * (tile.height + GAP),
                width: tile.width,
                height: tile.height,
            }
        })
        .collect()
}

/// The largest tile in a cell, no wider than a picture and no narrower for its height than `tallest`.
fn tile_of(cell: Size, tallest: f64) -> Size {
    let width = cell.width.min(cell.height * PICTURE_RATIO);
    Size {
        width,
        height: cell.height.min(width / tallest),
    }
}

fn cell_of(grid: Grid, area: Size) -> Size {
    let share = |length: f64, parts: usize| ((length - GAP * (parts as f64 - 1.0)) / parts as f64).max(0.0);
    Size {
        width: share(area.width, grid.columns),
        height: share(area.height, grid.rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Size; 6] = [
        Size {
            width: 1280.0,
            height: 640.0,
        },
        Size {
            width: 1920.0,
            height: 960.0,
        },
        Size {
            width: 390.0,
            height: 680.0,
        },
        Size {
            width: 768.0,
            height: 900.0,
        },
        Size {
            width: 2560.0,
            height: 700.0,
        },
        Size {
            width: 320.0,
            height: 400.0,
        },
    ];

    fn all(arrangement: &Arrangement) -> Vec<Rect> {
        let mut rects = arrangement.cameras.clone();
        rects.extend(&arrangement.screens);
        rects.extend(arrangement.more);
        rects.push(arrangement.own);
        rects
    }

    fn overlap(a: Rect, b: Rect) -> bool {
        a.left < b.left + b.width - 0.01
            && b.left < a.left + a.width - 0.01
            && a.top < b.top + b.height - 0.01
            && b.top < a.top + a.height - 0.01
    }

    fn people(cameras: usize) -> Scene {
        Scene {
            cameras,
            ..Scene::default()
        }
    }

    fn with_screen(cameras: usize) -> Scene {
        Scene {
            screens: 1,
            ..people(cameras)
        }
    }

    fn scenes() -> impl Iterator<Item = Scene> {
        (0..=24).flat_map(|cameras| {
            [(0, None), (1, None), (2, None), (0, Some(cameras / 2))]
                .into_iter()
                .flat_map(move |(screens, large)| {
                    [false, true].map(|more| Scene {
                        cameras,
                        screens,
                        large: large.filter(|_| cameras > 0),
                        more,
                    })
                })
        })
    }

    #[test]
    fn everything_is_on_the_stage_and_apart() {
        for stage in STAGES {
            for scene in scenes() {
                let arrangement = arrange(scene, stage);
                assert_eq!(arrangement.cameras.len(), scene.cameras);
                assert_eq!(arrangement.screens.len(), scene.screens);
                assert_eq!(arrangement.more.is_some(), scene.more);
                let rects = all(&arrangement);
                for (index, &rect) in rects.iter().enumerate() {
                    assert!(
                        rect.width > 20.0 && rect.height > 12.0,
                        "{scene:?} {stage:?} {rect:?}"
                    );
                    assert!(rect.left >= -0.01 && rect.top >= -0.01);
                    assert!(rect.left + rect.width <= stage.width + 0.01);
                    assert!(rect.top + rect.height <= stage.height + 0.01);
                    if arrangement.own_floats {
                        continue;
                    }
                    assert!(rects[..index].iter().all(|&other| !overlap(rect, other)));
                }
            }
        }
    }

    #[test]
    fn what_has_room_can_be_made_out() {
        for stage in STAGES {
            for beside in [false, true] {
                let room = room(stage, beside);
                assert!((1..MOST_TILES).contains(&room), "{room} on {stage:?}");
                let scene = Scene {
                    cameras: room,
                    screens: usize::from(beside),
                    ..Scene::default()
                };
                let smallest = if beside { 85.0 } else { 140.0 };
                for rect in arrange(scene, stage).cameras {
                    assert!(rect.width >= smallest, "{rect:?} of {room} on {stage:?}");
                }
            }
        }
        let (wide, tall) = (STAGES[0], STAGES[2]);
        assert_eq!((room(wide, false), room(tall, false)), (24, 11));
    }

    #[test]
    fn who_is_pinned_is_larger_than_all_others() {
        for stage in STAGES {
            for cameras in 2..=24 {
                for large in [0, cameras / 2, cameras - 1] {
                    let scene = Scene {
                        cameras,
                        large: Some(large),
                        ..Scene::default()
                    };
                    let faces = arrange(scene, stage).cameras;
                    let area = |rect: &Rect| rect.width * rect.height;
                    for (index, face) in faces.iter().enumerate() {
                        assert!(
                            index == large || area(face) * 1.5 < area(&faces[large]),
                            "{scene:?} {stage:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn no_grid_has_larger_tiles() {
        for stage in STAGES {
            for count in 1..=25 {
                let size = |grid| {
                    let tile = tile_of(cell_of(grid, stage), COUNTED_RATIO);
                    tile.width * tile.height
                };
                let best = size(best_grid(count, stage));
                for columns in 1..=count {
                    let rows = count.div_ceil(columns);
                    assert!(size(Grid { columns, rows }) <= best + 1.01);
                }
            }
        }
    }

    #[test]
    fn familiar_grids() {
        let wide = Size {
            width: 1280.0,
            height: 720.0,
        };
        let tall = Size {
            width: 390.0,
            height: 680.0,
        };
        for (count, stage, columns, rows) in [
            (1, wide, 1, 1),
            (4, wide, 2, 2),
            (9, wide, 3, 3),
            (25, wide, 5, 5),
            (2, tall, 1, 2),
            (3, tall, 1, 3),
            (6, tall, 2, 3),
        ] {
            assert_eq!(
                best_grid(count, stage),
                Grid { columns, rows },
                "{count} on {stage:?}"
            );
        }
    }

    #[test]
    fn tiles_keep_a_shape_that_suits_faces() {
        for stage in STAGES {
            for cameras in 1..=24 {
                for rect in all(&arrange(people(cameras), stage)) {
                    let ratio = rect.width / rect.height;
                    assert!(
                        (TALLEST_RATIO - 0.01..=PICTURE_RATIO + 0.01).contains(&ratio),
                        "{rect:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_screen_is_larger_than_all_faces() {
        for stage in STAGES {
            for cameras in 1..=24 {
                let arrangement = arrange(with_screen(cameras), stage);
                let screen = arrangement.screens[0];
                for face in &arrangement.cameras {
                    assert!(face.width * face.height * 2.0 < screen.width * screen.height);
                }
            }
        }
    }

    #[test]
    fn a_stage_without_extent_is_no_trouble() {
        for cameras in 0..=3 {
            for screens in 0..=1 {
                let scene = Scene {
                    cameras,
                    screens,
                    ..Scene::default()
                };
                let arrangement = arrange(scene, Size::default());
                assert!(
                    all(&arrangement)
                        .iter()
                        .all(|rect| rect.width.is_finite() && rect.height.is_finite())
                );
            }
        }
    }
}
