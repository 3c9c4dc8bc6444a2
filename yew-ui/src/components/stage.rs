//! All the pictures, each in its place.

use videocall_client::Call;
use yew::prelude::*;

use super::remote_tile::{CameraTile, ScreenTile};
use super::self_tile::SelfTile;
use crate::hooks::{use_size, use_text};
use crate::state::call::CallState;
use crate::state::layout::{Scene, arrange};

#[derive(PartialEq, Properties)]
pub(crate) struct StageProps {
    pub(crate) call: Call,
    pub(crate) name: AttrValue,
    pub(crate) state: UseReducerHandle<CallState>,
}

/// One list, so that a tile that moves keeps its element and with it its picture.
#[component]
pub(crate) fn Stage(props: &StageProps) -> Html {
    let text = use_text();
    let node = use_node_ref();
    let size = use_size(&node);
    let state = &*props.state;
    let scene = Scene {
        cameras: state.people.len(),
        screens: state.presenters().count(),
    };
    let arrangement = arrange(scene, size);
    let call = || props.call.clone();
    html! {
        <div ref={node} class="relative min-h-0 min-w-0 flex-1" role="region" aria-label={text.call.stage}>
            { for state.presenters().zip(&arrangement.screens).map(|((person, _), &rect)| html! {
                <ScreenTile key={format!("{}-screen", person.session)} call={call()} person={person.clone()} {rect} />
            }) }
            { for state.people.iter().zip(&arrangement.cameras).map(|(person, &rect)| html! {
                <CameraTile key={person.session.to_string()} call={call()} person={person.clone()} {rect} />
            }) }
            <SelfTile key="own" call={call()} name={props.name.clone()} own={state.own} rect={arrangement.own}
                floats={arrangement.own_floats} />
        </div>
    }
}
