//! What the pages show, as data: each module is a state with the changes it knows, or a pure function.
//!
//! Nothing in here touches the browser; hooks feed it and components draw it.

pub mod call;
pub mod chart;
pub mod figures;
pub mod gallery;
pub mod history;
pub mod home;
pub mod lacking;
pub mod layout;
pub mod name;
pub mod notice;
pub mod quality;
pub mod route;
pub mod shortcut;
