//! All the pictures, each in its place.

use std::rc::Rc;

use videocall_client::Call;
use videocall_client::call::Priority;
use yew::prelude::*;

use super::more_tile::MoreTile;
use super::pager::Pager;
use super::remote_tile::{CameraTile, ScreenTile};
use super::self_tile::SelfTile;
use crate::hooks::{use_size, use_text};
use crate::state::call::{Action, CallState, Person};
use crate::state::layout::{Rect, Scene, Size, arrange, room};
use crate::state::quality::Standing;

#[derive(PartialEq, Properties)]
pub(crate) struct StageProps {
    pub(crate) call: Call,
    pub(crate) name: AttrValue,
    pub(crate) state: UseReducerHandle<CallState>,
    /// How good everybody is seen and heard.
    pub(crate) standing: Rc<Standing>,
    /// Somebody wants to know who else is here.
    pub(crate) onmore: Callback<()>,
}

/// One list, so that a tile that moves keeps its element and with it its picture.
#[component]
pub(crate) fn Stage(props: &StageProps) -> Html {
    let text = use_text();
    let node = use_node_ref();
    let size = use_size(&node);
    let state = &*props.state;
    use_room(&props.state, size);
    use_pinned_voice(&props.call, state);
    let people: Vec<&Rc<Person>> = state.tiles().collect();
    let page = state.page();
    // The other pages are for those who are not on the first one; it alone tells of them.
    let hidden = if page.index == 0 {
        state.people.len() - people.len()
    } else {
        0
    };
    let scene = Scene {
        cameras: people.len(),
        screens: state.presenters().count(),
        large: people
            .iter()
            .position(|person| Some(person.session) == state.large()),
        more: hidden > 0,
    };
    let arrangement = arrange(scene, size);
    let turn = {
        let dispatcher = props.state.dispatcher();
        Callback::from(move |turn| dispatcher.dispatch(Action::Turn(turn)))
    };
    html! {
        <div ref={node} class="relative min-h-0 min-w-0 flex-1" role="region" aria-label={text.call.stage}>
            { for state.presenters().zip(&arrangement.screens).map(|((person, _), &rect)| html! {
                <ScreenTile key={format!("{}-screen", person.session)} call={props.call.clone()}
                    person={person.clone()} {rect} />
            }) }
            { for people.iter().zip(&arrangement.cameras).map(|(person, &rect)| camera(props, person, rect)) }
            if let Some(rect) = arrangement.more {
                <MoreTile key="more" count={hidden} {rect} onclick={props.onmore.clone()} />
            }
            <Pager key="pages" {page} onturn={turn} />
            <SelfTile key="own" call={props.call.clone()} name={props.name.clone()} own={state.own}
                verdict={props.standing.own}
                rect={arrangement.own} floats={arrangement.own_floats} />
        </div>
    }
}

fn camera(props: &StageProps, person: &Rc<Person>, rect: Rect) -> Html {
    let state = &*props.state;
    let session = person.session;
    let pinned = state.pinned == Some(session);
    let priority = match state.is_speaker(session) {
        _ if pinned => Priority::Main,
        true => Priority::Speaker,
        false => Priority::Other,
    };
    let dispatcher = props.state.dispatcher();
    // With one other person there is nothing to choose.
    let onpin = (pinned || state.people.len() > 1)
        .then(|| Callback::from(move |()| dispatcher.dispatch(Action::TogglePin(session))));
    html! {
        <CameraTile key={session.to_string()} call={props.call.clone()} person={person.clone()} {rect} {pinned}
            verdict={props.standing.of(session)} {priority} {onpin} />
    }
}

/// Tells the state how many tiles fit.
#[hook]
fn use_room(state: &UseReducerHandle<CallState>, size: Size) {
    let large = usize::from(state.large().is_some());
    let beside = large > 0 || state.presenters().next().is_some();
    let fits = (size.width > 0.0).then(|| room(size, beside) + large);
    let dispatcher = state.dispatcher();
    use_effect_with(fits, move |fits| {
        if let Some(fits) = *fits {
            dispatcher.dispatch(Action::Room(fits));
        }
    });
}

/// Who is pinned is heard whether they are among the loudest or not.
#[hook]
fn use_pinned_voice(call: &Call, state: &CallState) {
    let pinned = state
        .people
        .iter()
        .find(|person| Some(person.session) == state.pinned);
    let voice = pinned.and_then(|person| person.voice);
    use_effect_with((call.clone(), voice), |(call, voice)| {
        let heard = voice.map(|voice| {
            call.listen(voice, true);
            (call.clone(), voice)
        });
        move || {
            if let Some((call, voice)) = heard {
                call.listen(voice, false);
            }
        }
    });
}
