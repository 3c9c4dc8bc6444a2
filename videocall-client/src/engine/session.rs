//! One call in its worker: takes what the page says, passes on what the client says.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use videocall_types::Timestamp;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use super::received::Received;
use super::report::{LEVELS_INTERVAL, Reporter};
use super::sent::Sent;
use crate::bridge::messages::{FromEngine, Start, ToEngine};
use crate::bridge::port::{Port, object};
use crate::call::{CallEvent, Levels, Notice, RosterChange};
use crate::core::{ConnectionState, Event};
use crate::media::web::surface::Surface;
use crate::stats::CallStats;
use crate::transport::web::{WebClock, sleep};
use crate::{Client, EventStream, MinuteMeter};

/// Between two looks at the figures for the operator's metrics: what whoever leaves has counted since is lost.
const MINUTE_LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// A call.
pub(super) struct Engine {
    client: Client,
    page: Rc<Reporter>,
    received: Rc<Received>,
    sent: Rc<Sent>,
    minutes: RefCell<MinuteMeter>,
    minute_due: Cell<Timestamp>,
}

impl Engine {
    pub(super) fn start(page: Port<FromEngine>, start: Start) -> Rc<Self> {
        let (client, events) = Client::start(start.client);
        let page = Rc::new(Reporter::new(page));
        let engine = Rc::new(Self {
            received: Received::new(client.clone(), page.clone()),
            sent: Sent::new(client.clone(), page.clone(), start.muted, start.camera_off),
            client,
            page,
            minutes: RefCell::default(),
            minute_due: Cell::default(),
        });
        spawn_local(engine.clone().run(events));
        spawn_local(report(Rc::downgrade(&engine)));
        engine
    }

    /// Does what the page says.
    ///
    /// # Errors
    /// When what belongs to the message is not there.
    pub(super) fn hear(&self, message: ToEngine, objects: Vec<JsValue>) -> Result<(), String> {
        let received = &self.received;
        match message {
            ToEngine::Start(_) => return Err("a call is started once".to_owned()),
            ToEngine::Surface(id) => received.add_surface(id, Surface::new(object(objects)?)?),
            ToEngine::ForgetSurface(id) => received.forget_surface(id),
            ToEngine::Attach(track, id) => received.attach(track, id),
            ToEngine::Detach(track) => received.detach(track),
            // A client that has ended shows and hears nothing.
            ToEngine::Show(track, view) => self.client.show(track, view).unwrap_or_default(),
            ToEngine::Hide(track) => self.client.hide(track).unwrap_or_default(),
            ToEngine::Listen(track, always) => self.client.listen(track, always).unwrap_or_default(),
            ToEngine::SetVisible(visible) => received.set_visible(visible),
            ToEngine::Capture(source, opening, kind) => {
                self.sent.capture(source, opening, kind, object(objects)?);
            }
            ToEngine::Release(source) => self.sent.release(source),
            ToEngine::SetMuted(muted) => self.sent.set_muted(muted),
            ToEngine::Loudspeaker => received.play_through(objects)?,
            ToEngine::OutputLatency(latency) => received.set_output_latency(latency),
            ToEngine::WatchFigures => self.page.watch_figures(),
            ToEngine::Taken => self.page.taken(),
            ToEngine::Leave => self.leave(),
        }
        Ok(())
    }

    /// Passes on what the client says until the call is over.
    async fn run(self: Rc<Self>, mut events: EventStream) {
        while let Some(event) = events.next().await {
            self.take(event);
        }
        self.close();
    }

    fn take(&self, event: Event) {
        let (received, sent) = (&self.received, &self.sent);
        match event {
            Event::Frame(frame) => received.take(frame),
            Event::Connection(status) => {
                if status.state != ConnectionState::Connected {
                    sent.disconnected();
                }
                // Whoever learns that it is connected may ask for the session next.
                self.page.renew_figures();
                self.report();
                received.push(CallEvent::Connection(status));
            }
            Event::Joined {
                session,
                participants,
                ..
            } => received.change(RosterChange::Replaced {
                session,
                participants,
            }),
            Event::ParticipantJoined(participant) => received.change(RosterChange::Joined(participant)),
            Event::ParticipantLeft(session) => received.change(RosterChange::Left(session)),
            Event::TrackChanged { session, track } => {
                received.change(RosterChange::TrackChanged { session, track });
            }
            Event::TrackRemoved(track) => received.change(RosterChange::TrackRemoved(track)),
            Event::TrackAccepted(track) => sent.accepted(track),
            Event::KeyframeWanted { track, spatial } => sent.keyframe_wanted(track, spatial),
            Event::LayersWanted {
                track,
                spatial_layers,
            } => sent.watched(track, spatial_layers),
            Event::EncoderTargets(targets) => sent.aim(targets),
            Event::Receivers(receivers) => sent.set_receivers(receivers),
            Event::Speakers(sessions) => received.push(CallEvent::Speakers(sessions)),
            Event::Reachability {
                other_relays_reachable,
            } => {
                let notice = Notice::OtherRelaysReachable(other_relays_reachable);
                received.push(CallEvent::Notice(notice));
            }
            Event::Closed(closing) => {
                tracing::info!(code = ?closing.code, "the call is over");
                self.close();
                received.push(CallEvent::Closed(closing));
            }
        }
    }

    /// What the page may ask for at any time.
    fn report(&self) {
        let now = WebClock::now();
        self.received.refresh(now);
        let levels = || Levels {
            own: self.sent.level(),
            others: self.received.levels(now),
        };
        self.page.report(now, levels, || self.figures(now));
        self.look_at_minute(now);
    }

    fn figures(&self, now: Timestamp) -> CallStats {
        CallStats {
            session: self.client.session(),
            connection: self.client.stats(),
            local_tracks: self.sent.stats(now),
            remote_tracks: self.received.stats(now),
        }
    }

    /// Tells the relay how the last minute was, when one is over.
    fn look_at_minute(&self, now: Timestamp) {
        if now < self.minute_due.get() {
            return;
        }
        self.minute_due.set(now + MINUTE_LOOK_INTERVAL);
        let minute = self.minutes.borrow_mut().look(&self.figures(now), now);
        if let Some(minute) = minute {
            // A client that has ended tells nothing.
            self.client.report(minute).ok();
        }
    }

    fn leave(&self) {
        self.client.leave();
        self.sent.close();
    }

    fn close(&self) {
        self.sent.close();
        self.received.close();
    }
}

/// Reports as long as there is a call.
async fn report(engine: Weak<Engine>) {
    while let Some(engine) = engine.upgrade() {
        engine.report();
        drop(engine);
        sleep(LEVELS_INTERVAL).await;
    }
}
