//! Symbols, drawn as strokes on a 24 x 24 grid so that they match each other and take the text's colour.

use yew::prelude::*;

/// A symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    Camera,
    CameraOff,
    Check,
    Close,
    Copy,
    Down,
    Info,
    Leave,
    Link,
    Microphone,
    MicrophoneOff,
    Next,
    People,
    Pin,
    Previous,
    Screen,
    ScreenStop,
    Settings,
    Sound,
    Statistics,
    Warning,
}

const CAMERA: &str = "M5.5 6.5h7A2.5 2.5 0 0 1 15 9v6a2.5 2.5 0 0 1-2.5 2.5h-7A2.5 2.5 0 0 1 3 15V9a2.5 2.5 0 0 1 2.5-2.5zM15 10.8l4.3-2.6c.6-.4 1.2 0 1.2.6v6.4c0 .6-.6 1-1.2.6L15 13.2";
const MICROPHONE: &str =
    "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21";
const SCREEN: &str = "M5 4.5h14a2 2 0 0 1 2 2v8.5a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V6.5a2 2 0 0 1 2-2zM9 20.5h6";

impl Symbol {
    const fn paths(self) -> [&'static str; 2] {
        match self {
            Self::Camera => [CAMERA, ""],
            Self::CameraOff => [CAMERA, "M3 3l18 18"],
            Self::Check => ["M5 12.5l4.5 4.5L19 7.5", ""],
            Self::Close => ["M6 6l12 12M18 6L6 18", ""],
            Self::Copy => [
                "M10.5 8.5h7a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-7a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2z",
                "M5.5 15.5a2 2 0 0 1-1-1.7V6.5a2 2 0 0 1 2-2h7.3a2 2 0 0 1 1.7 1",
            ],
            Self::Down => ["M5.5 9.5L12 16l6.5-6.5", ""],
            Self::Info => ["M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18", "M12 11v5.5M12 7.7v.1"],
            Self::Leave => [
                "M3.3 14.6c4.9-4.1 12.5-4.1 17.4 0 .7.6.8 1.5.3 2.2l-1.3 1.7c-.4.6-1.2.7-1.8.4l-2.4-1.3c-.6-.3-.9-.9-.8-1.5l.2-1.7a10 10 0 0 0-5.8 0l.2 1.7c.1.6-.2 1.2-.8 1.5l-2.4 1.3c-.6.3-1.4.2-1.8-.4L3 16.8c-.5-.7-.4-1.6.3-2.2z",
                "",
            ],
            Self::Link => [
                "M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 0 0-5.7-5.7l-1.2 1.2",
                "M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0 5.7 5.7l1.2-1.2",
            ],
            Self::Microphone => [MICROPHONE, ""],
            Self::MicrophoneOff => [MICROPHONE, "M4 3l16 18"],
            Self::Next => ["M9.5 5.5L16 12l-6.5 6.5", ""],
            Self::People => [
                "M9 5.5a3.2 3.2 0 1 0 0 6.4a3.2 3.2 0 1 0 0-6.4M3 19.5c.5-3.2 2.9-5 6-5s5.5 1.8 6 5",
                "M15.8 5.8a3.2 3.2 0 0 1 0 5.8M17.8 15c1.7.8 2.9 2.4 3.2 4.5",
            ],
            Self::Pin => ["M9 3.5h6l-.8 6.2 3.3 3.4v1.9h-11v-1.9l3.3-3.4z", "M12 15v5.5"],
            Self::Previous => ["M14.5 5.5L8 12l6.5 6.5", ""],
            Self::Screen => [SCREEN, "M12 14V7.5M9.3 10.2L12 7.5l2.7 2.7"],
            Self::ScreenStop => [SCREEN, "M9.5 8.3l5 5M14.5 8.3l-5 5"],
            Self::Settings => [
                "M4 7.5h8.5M17.5 7.5H20M4 16.5h2.5M11.5 16.5H20",
                "M15 5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5M9 14a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5",
            ],
            Self::Sound => [
                "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z",
                "M15.5 9a4.2 4.2 0 0 1 0 6M18.3 6.5a8 8 0 0 1 0 11",
            ],
            Self::Statistics => ["M4 4v16h16", "M8 16l3.5-5 3 2.5L20 7"],
            Self::Warning => [
                "M10.7 4.6L2.9 18a1.5 1.5 0 0 0 1.3 2.2h15.6a1.5 1.5 0 0 0 1.3-2.2L13.3 4.6a1.5 1.5 0 0 0-2.6 0z",
                "M12 10v4M12 17v.1",
            ],
        }
    }
}

#[derive(PartialEq, Properties)]
pub(crate) struct IconProps {
    pub(crate) symbol: Symbol,
    #[prop_or("size-[22px]")]
    pub(crate) class: &'static str,
}

/// A symbol as decoration: what it means is said beside it or by its button's label.
#[component]
pub(crate) fn Icon(props: &IconProps) -> Html {
    let paths = props.symbol.paths();
    html! {
        <svg class={classes!("shrink-0", props.class)} viewBox="0 0 24 24" fill="none" stroke="currentColor"
            stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
            { for paths.into_iter().filter(|path| !path.is_empty()).map(|path| html! { <path d={path} /> }) }
        </svg>
    }
}
