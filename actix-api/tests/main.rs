//! The server as its clients see it, on both databases.

mod common;
mod database;
mod limits;
mod rest;
mod ui;
mod websocket;
