//! Which pictures can be seen, and how large: the relay sends what is shown and nothing else.
//!
//! The page sees it and tells the engine; what it means for the subscription is decided in the client's core.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use js_sys::Array;
use videocall_types::TrackRef;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{
    HtmlElement, IntersectionObserver, IntersectionObserverEntry, ResizeObserver, VisibilityState,
};

use super::js::{self, Listener};
use crate::bridge::messages::ToEngine;
use crate::bridge::port::Port;
use crate::core::View;

/// The elements in which tracks are shown.
pub(crate) struct Viewport {
    state: Rc<State>,
    resize: Option<ResizeObserver>,
    intersection: Option<IntersectionObserver>,
    _on_resize: Closure<dyn FnMut()>,
    _on_intersection: Closure<dyn FnMut(Array)>,
    _on_visibility: Option<Listener>,
}

struct State {
    engine: Port<ToEngine>,
    tiles: RefCell<HashMap<TrackRef, Tile>>,
    hidden: Cell<bool>,
}

struct Tile {
    element: HtmlElement,
    /// Part of it is on screen, as far as is known.
    on_screen: bool,
    priority: u32,
    told: Option<View>,
}

impl Viewport {
    /// No elements so far.
    pub(crate) fn new(engine: Port<ToEngine>) -> Self {
        let state = Rc::new(State {
            engine,
            tiles: RefCell::default(),
            hidden: Cell::new(false),
        });
        let on_resize = Closure::<dyn FnMut()>::new({
            let state = state.clone();
            move || state.tell_all()
        });
        let on_intersection = Closure::<dyn FnMut(Array)>::new({
            let state = state.clone();
            move |entries: Array| state.intersect(&entries)
        });
        let document = js::window().and_then(|window| window.document());
        let visibility = document.map(|document| {
            let state = state.clone();
            let page = document.clone();
            state.set_hidden(page.visibility_state() == VisibilityState::Hidden);
            Listener::new(&document, "visibilitychange", move |_| {
                state.set_hidden(page.visibility_state() == VisibilityState::Hidden);
            })
        });
        Self {
            resize: ResizeObserver::new(on_resize.as_ref().unchecked_ref()).ok(),
            intersection: IntersectionObserver::new(on_intersection.as_ref().unchecked_ref()).ok(),
            state,
            _on_resize: on_resize,
            _on_intersection: on_intersection,
            _on_visibility: visibility,
        }
    }

    /// The track is shown here from now on.
    pub(crate) fn add(&self, track: TrackRef, element: HtmlElement) {
        self.remove_element(track);
        let mut tiles = self.state.tiles.borrow_mut();
        let before = tiles.remove(&track);
        if let Some(observer) = &self.resize {
            observer.observe(&element);
        }
        if let Some(observer) = &self.intersection {
            observer.observe(&element);
        }
        let tile = Tile {
            element,
            // Until the observer says otherwise, which is with the next picture of the display.
            on_screen: true,
            priority: before.as_ref().map_or(0, |before| before.priority),
            told: before.and_then(|before| before.told),
        };
        tiles.insert(track, tile);
        drop(tiles);
        self.state.tell(track);
    }

    /// The track is shown nowhere.
    pub(crate) fn remove(&self, track: TrackRef) {
        self.remove_element(track);
        let tile = self.state.tiles.borrow_mut().remove(&track);
        if tile.is_some_and(|tile| tile.told.is_some()) {
            self.state.engine.post(&ToEngine::Hide(track));
        }
    }

    /// What is kept longer when the path is too short for all.
    pub(crate) fn set_priority(&self, track: TrackRef, priority: u32) {
        if let Some(tile) = self.state.tiles.borrow_mut().get_mut(&track) {
            tile.priority = priority;
        }
        self.state.tell(track);
    }

    fn remove_element(&self, track: TrackRef) {
        let tiles = self.state.tiles.borrow();
        let Some(tile) = tiles.get(&track) else { return };
        if let Some(observer) = &self.resize {
            observer.unobserve(&tile.element);
        }
        if let Some(observer) = &self.intersection {
            observer.unobserve(&tile.element);
        }
    }
}

impl Drop for Viewport {
    fn drop(&mut self) {
        if let Some(observer) = &self.resize {
            observer.disconnect();
        }
        if let Some(observer) = &self.intersection {
            observer.disconnect();
        }
    }
}

impl State {
    fn set_hidden(&self, hidden: bool) {
        if self.hidden.replace(hidden) != hidden {
            self.engine.post(&ToEngine::SetVisible(!hidden));
        }
    }

    fn intersect(&self, entries: &Array) {
        for entry in entries.iter() {
            let entry: IntersectionObserverEntry = entry.unchecked_into();
            let target = entry.target();
            let mut tiles = self.tiles.borrow_mut();
            let tile = tiles.iter_mut().find(|(_, tile)| *tile.element == target);
            let Some((&track, tile)) = tile else { continue };
            tile.on_screen = entry.is_intersecting();
            drop(tiles);
            self.tell(track);
        }
    }

    fn tell_all(&self) {
        let tracks: Vec<_> = self.tiles.borrow().keys().copied().collect();
        for track in tracks {
            self.tell(track);
        }
    }

    fn tell(&self, track: TrackRef) {
        let mut tiles = self.tiles.borrow_mut();
        let Some(tile) = tiles.get_mut(&track) else { return };
        let view = tile.view();
        if view == tile.told {
            return;
        }
        tile.told = view;
        self.engine.post(&match view {
            Some(view) => ToEngine::Show(track, view),
            None => ToEngine::Hide(track),
        });
    }
}

impl Tile {
    /// `None` when there is nothing to see: off screen, or no room.
    fn view(&self) -> Option<View> {
        let scale = js::window().map_or(1.0, |window| window.device_pixel_ratio());
        let pixels = |length: i32| (f64::from(length) * scale).ceil() as u32;
        let (width, height) = (
            pixels(self.element.client_width()),
            pixels(self.element.client_height()),
        );
        (self.on_screen && width > 0 && height > 0).then_some(View {
            width,
            height,
            priority: self.priority,
        })
    }
}
