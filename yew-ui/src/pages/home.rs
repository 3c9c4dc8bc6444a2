//! The home page: a name, a meeting, Join.

use gloo::utils::window;
use yew::prelude::*;

use crate::components::{Brand, Field};
use crate::hooks::{Stored, load, store, use_navigator, use_text, use_title};
use crate::state::home::{HomeForm, suggested_meeting};
use crate::state::route::{AddressError, invited_to, meeting_path};
use crate::text::Text;

/// The page.
#[component]
pub(super) fn HomePage() -> Html {
    let text = use_text();
    use_title(None);
    html! {
        <main class="mx-auto flex min-h-dvh w-full max-w-md flex-col justify-center px-5 py-10">
            <div class="mb-8"><Brand /></div>
            <h1 class="text-3xl font-semibold tracking-tight text-balance">{ text.home.title }</h1>
            <p class="mt-2.5 mb-7 text-base leading-6 text-pretty text-soft">{ text.home.lead }</p>
            <JoinForm />
            <p class="mt-5 text-center text-[13px] text-soft">{ text.home.footnote }</p>
        </main>
    }
}

#[component]
fn JoinForm() -> Html {
    let text = use_text();
    let navigator = use_navigator();
    let form = use_state_eq(first_form);
    let change = |change: fn(&mut HomeForm, String)| {
        let form = form.clone();
        Callback::from(move |value: String| {
            let mut next = (*form).clone();
            change(&mut next, value);
            form.set(next);
        })
    };
    let onsubmit = {
        let form = form.clone();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let mut next = (*form).clone();
            if let Some((user, meeting)) = next.submit() {
                store(Stored::Name, user.as_str());
                navigator.go(meeting_path(&user, &meeting));
            }
            form.set(next);
        })
    };
    html! {
        <form class="card space-y-5 p-5 sm:p-6" {onsubmit} novalidate=true>
            <Field id="name-input" label={text.home.name} hint={text.home.name_hint} value={form.name.clone()}
                error={name_error(text, &form)} autocomplete="username" autofocus={form.name.is_empty()}
                onchange={change(HomeForm::set_name)} />
            <Field id="meeting-input" label={text.home.meeting} hint={text.home.meeting_hint}
                value={form.meeting.clone()} error={meeting_error(text, &form)} autofocus={!form.name.is_empty()}
                onchange={change(HomeForm::set_meeting)}>
                <button type="button" class="button-link" data-testid="suggest-button"
                    onclick={change(HomeForm::set_meeting).reform(|_: MouseEvent| random_meeting())}>
                    { text.home.suggest }
                </button>
            </Field>
            <button type="submit" class="button button-primary w-full" data-testid="join-button">{ text.home.join }</button>
        </form>
    }
}

fn first_form() -> HomeForm {
    let query = window().location().search().unwrap_or_default();
    HomeForm {
        name: load(Stored::Name).unwrap_or_default(),
        meeting: invited_to(&query)
            .map(|meeting| meeting.to_string())
            .unwrap_or_default(),
        error: None,
    }
}

fn name_error(text: &Text, form: &HomeForm) -> Option<AttrValue> {
    form.error
        .filter(|error| matches!(error, AddressError::Name(_)))
        .map(|error| (text.address_error)(error).into())
}

fn meeting_error(text: &Text, form: &HomeForm) -> Option<AttrValue> {
    form.error
        .filter(|error| matches!(error, AddressError::Meeting(_)))
        .map(|error| (text.address_error)(error).into())
}

fn random_meeting() -> String {
    let mut random = [0; 10];
    if let Ok(crypto) = window().crypto() {
        // Without random bytes the suggestion is a poor one, and the person sees it.
        crypto.get_random_values_with_u8_array(&mut random).ok();
    }
    suggested_meeting(random)
}
