//! The element in which somebody else's track is shown.

use videocall_client::Call;
use videocall_client::call::{Priority, picture_tag};
use videocall_types::TrackRef;
use web_sys::HtmlElement;
use yew::prelude::*;

#[derive(PartialEq, Properties)]
pub(super) struct RemotePictureProps {
    pub(super) call: Call,
    pub(super) track: Option<TrackRef>,
    /// Which pictures are kept longer when the path is too short for all.
    pub(super) priority: Priority,
    /// Classes for how it fills its tile.
    pub(super) class: &'static str,
}

/// The element is there even without a track, so that a camera that comes later finds it.
#[component]
pub(super) fn RemotePicture(props: &RemotePictureProps) -> Html {
    let element = use_node_ref();
    {
        let element = element.clone();
        use_effect_with((props.call.clone(), props.track), move |(call, track)| {
            let attached = track.zip(element.cast::<HtmlElement>()).map(|(track, element)| {
                call.attach(track, element);
                (call.clone(), track)
            });
            move || {
                if let Some((call, track)) = attached {
                    call.detach(track);
                }
            }
        });
    }
    let wish = (props.call.clone(), props.track, props.priority);
    use_effect_with(wish, |(call, track, priority)| {
        if let Some(track) = *track {
            call.set_priority(track, *priority);
        }
    });
    html! { <@{picture_tag()} ref={element} class={classes!("size-full", props.class)} /> }
}
