//! Small views. They draw what they are given, tell what was pressed, and decide nothing.

mod avatar;
mod brand;
mod connection;
mod control;
mod controls;
mod device_menu;
mod device_select;
mod field;
mod header;
mod icon;
mod more_tile;
mod notices;
mod people;
mod pin_button;
mod placard;
mod preview_controls;
mod remote_picture;
mod remote_tile;

mod self_tile;
mod sharing_bar;
mod solitude;
mod stage;
mod tile;

pub(crate) use brand::Brand;
pub(crate) use control::ControlButton;
pub(crate) use controls::Controls;
pub(crate) use device_menu::DeviceMenu;
pub(crate) use device_select::{DeviceKind, DeviceSelect};
pub(crate) use field::Field;
pub(crate) use header::CallHeader;
pub(crate) use icon::{Icon, Symbol};
pub(crate) use notices::{NoticeBar, NoticeList};
pub(crate) use people::PeoplePanel;
pub(crate) use placard::Placard;
pub(crate) use preview_controls::PreviewControls;
pub(crate) use sharing_bar::SharingBar;
pub(crate) use solitude::Solitude;
pub(crate) use stage::Stage;
