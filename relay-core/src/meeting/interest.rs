//! Who receives which track and layer, and what therefore has to be sent: by members here, and over
//! the bus.
//!
//! Tracks, subscriptions and audiences are snapshots for the media path. What is wanted grows at once
//! and shrinks after a while, so that a tile that moves about costs nobody a keyframe; at once where a
//! sender is bounded by what its receivers' paths carry, as what is about to shrink would lift the bound.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use videocall_types::{ServerMessage, SessionId, Timestamp, TrackInfo, TrackInterest, TrackRef};

use super::{LocalMember, Meeting, State};
use crate::subscription::{Subscription, layer_for};
use crate::track::{Replay, Track};

/// For how long a layer is still sent after the last receiver is gone.
pub(super) const SHRINK_DELAY: Duration = Duration::from_millis(400);

/// What the sender of a track was told of it: the layers to send, and the limit of the largest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Bit n: spatial layer n.
    layers: u8,
    limit: BitrateLimit,
    /// Fewer are wanted; the sender is told so then, if they still are.
    shrink_at: Option<Timestamp>,
}

/// A receiver's path that does not carry everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct NarrowPath {
    /// What it carries of pictures, bits per second.
    limit: u64,
    /// What all that its receiver wants has.
    wanted: u64,
}

impl Told {
    pub(super) const fn shrink_at(&self) -> Option<Timestamp> {
        self.shrink_at
    }
}

/// The most that can be taken of a track's largest wanted layer, bits per second; `None` for no bound.
pub(super) type BitrateLimit = Option<NonZeroU32>;

/// A limit that differs by less, percent, is the same.
const WORTH_TELLING_PERCENT: u32 = 5;

/// What a track without a bitrate counts for, where a limit is shared, bits per second.
const USUAL_BITRATE_BPS: u64 = 400_000;

/// A subscription whose receiver has not been given anything yet.
type Fresh = (Arc<Track>, Arc<Subscription>);

impl Meeting {
    /// Brings the tracks of these sessions in line with what they publish, and everybody's
    /// subscriptions with the tracks. Control has changed who publishes what.
    pub(super) fn sync_tracks(&self, state: &mut State, sessions: &[SessionId], now: Timestamp) {
        let old = self.tracks.load_full();
        let mut tracks = BTreeMap::clone(&old);
        let (mut ended, mut begun, mut touched) = (Vec::new(), Vec::new(), Vec::new());
        for &session in sessions {
            let published = state.participant(session).map_or(&[][..], |p| &p.tracks);
            for (id, track) in of_session(&old, session) {
                let still = |info: &&TrackInfo| info.track == id.track && info.kind == track.kind;
                if !published.iter().any(|info| still(&info)) {
                    tracks.remove(id);
                    ended.push(track.clone());
                }
            }
            for info in published {
                let id = TrackRef {
                    session,
                    track: info.track,
                };
                let track = tracks.entry(id).or_insert_with(|| {
                    let track = Track::new(id, info.kind, info.muted);
                    begun.push(track.clone());
                    track
                });
                track.set_muted(info.muted);
                if info.muted {
                    self.selection.release(&track.level);
                }
                if track.describe(&info.layers) {
                    touched.push(track.clone());
                }
            }
        }
        if !(ended.is_empty() && begun.is_empty()) {
            self.tracks.store(Arc::new(tracks));
        }
        for track in &ended {
            self.end_track(state, track);
        }
        for &session in sessions {
            self.give_tracks_to_sender(state, session);
        }
        for track in begun {
            self.begin_track(state, &track, now);
        }
        for track in touched {
            self.resize_track(state, &track, now);
        }
        for &session in sessions {
            self.sync_bus_layers(state, session, now);
        }
    }

    /// Members hold tracks, and tracks their receivers; here the circle is cut.
    fn end_track(&self, state: &mut State, track: &Track) {
        track.subscribers.store(Arc::default());
        self.selection.release(&track.level);
        state.told.remove(&track.id);
        for local in state.members.values_mut() {
            local.subscriptions.remove(&track.id);
            local.member.outbox.forget(track.id);
        }
        self.bus_outbox.forget(track.id);
    }

    /// The tracks that a member connected here may send.
    fn give_tracks_to_sender(&self, state: &State, session: SessionId) {
        let local = state.members.get(&session).filter(|local| local.is_connected());
        let member = local.map(|local| &local.member);
        let tracks = self.tracks.load();
        let own: Vec<_> = of_session(&tracks, session)
            .map(|(_, track)| track.clone())
            .collect();
        for track in &own {
            track.level.set_local(member.is_some());
            track.set_publisher(member);
        }
        if let Some(member) = member {
            member.tracks.store(Arc::new(own));
        }
    }

    /// Everybody who wants a new track gets it.
    fn begin_track(&self, state: &mut State, track: &Arc<Track>, now: Timestamp) {
        let mut subscribers = Vec::new();
        for local in state.members.values_mut().filter(|local| local.is_connected()) {
            if let Some(subscription) = local.subscribe(track) {
                subscribers.push(subscription);
            }
        }
        track.subscribers.store(Arc::new(subscribers));
        self.tell_sender(state, track, now);
    }

    /// A track has other layers than before: what sizes ask for is another layer.
    fn resize_track(&self, state: &mut State, track: &Arc<Track>, now: Timestamp) {
        let description = track.description();
        for local in state.members.values() {
            if let Some(subscription) = local.subscriptions.get(&track.id)
                && let Some(ranked) = local.choice.of(track)
            {
                subscription.want(layer_for(&ranked.wish, &description), ranked.rank);
            }
        }
        self.tell_sender(state, track, now);
    }

    /// Brings a member's subscriptions in line with what it has chosen: it came, went, or chose.
    pub(super) fn sync_subscriptions(&self, state: &mut State, session: SessionId, now: Timestamp) {
        let Some(local) = state.members.get_mut(&session) else {
            return;
        };
        let tracks = self.tracks.load_full();
        let mut touched = Vec::new();
        for id in local.unwanted(&tracks) {
            if let Some(subscription) = local.subscriptions.remove(&id)
                && let Some(track) = tracks.get(&id)
            {
                track.remove_subscriber(&subscription);
                local.member.outbox.forget(id);
                touched.push(track.clone());
            }
        }
        let mut fresh: Vec<Fresh> = Vec::new();
        for track in local.wanted(&tracks) {
            match local.subscriptions.get(&track.id) {
                Some(subscription) => {
                    if local.renew(track, subscription) {
                        touched.push(track.clone());
                        fresh.extend((!track.kind.is_audio()).then(|| (track.clone(), subscription.clone())));
                    }
                }
                None => {
                    if let Some(subscription) = local.subscribe(track) {
                        track.add_subscriber(subscription.clone());
                        touched.push(track.clone());
                        fresh.push((track.clone(), subscription));
                    }
                }
            }
        }
        self.sync_audience(state);
        for track in &touched {
            self.tell_sender(state, track, now);
        }
        for (track, subscription) in &fresh {
            self.greet(track, subscription, now);
        }
    }

    /// Forgets a member that is gone, or whose connection is.
    pub(super) fn unsubscribe(&self, state: &mut State, local: &mut LocalMember, now: Timestamp) {
        let tracks = self.tracks.load_full();
        for (id, subscription) in std::mem::take(&mut local.subscriptions) {
            if let Some(track) = tracks.get(&id) {
                track.remove_subscriber(&subscription);
                self.tell_sender(state, track, now);
            }
        }
    }

    /// The members that hear the active speakers.
    pub(super) fn sync_audience(&self, state: &State) {
        let audience: Vec<_> = state
            .connected()
            .filter(|local| local.choice.speakers)
            .map(|local| local.member.clone())
            .collect();
        let old = self.audience.load();
        let same = old.len() == audience.len() && old.iter().zip(&audience).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            self.audience.store(Arc::new(audience));
        }
    }

    /// Somebody who comes sees a picture at once, and without the sender's help where everything
    /// that a decoder needs is kept.
    fn greet(&self, track: &Track, subscription: &Subscription, now: Timestamp) {
        if track.kind.is_audio() || track.is_muted() {
            return;
        }
        let Some(target) = subscription.target().map(|layer| track.nearest_layer(layer)) else {
            return;
        };
        let mut replayed = Replay::Nothing;
        if subscription.current().is_none() {
            let below = track.kept_layers().filter(|&layer| layer <= target).max();
            // Rather a larger one than none, unless the receiver's path does not carry it.
            let larger = || track.kept_layers().next();
            let narrow = subscription.member.restriction().spatial_drop() > 0;
            let start = below.or_else(|| larger().filter(|_| !narrow)).unwrap_or(target);
            let member = &subscription.member;
            let given = track.replay(start, |header, packet| {
                subscription.begin_at(start);
                let pushed = member.outbox.push_frame(packet, header, now);
                self.close_when_stalled(member, pushed, now);
            });
            if start == target {
                replayed = given;
            }
        }
        if replayed != Replay::Complete && subscription.current() != Some(target)
            || replayed == Replay::Picture
        {
            self.request_keyframe(track.id, target, now);
        }
    }

    /// Tells the sender of a track, when it is connected here, which layers are wanted: more at
    /// once, fewer after [`SHRINK_DELAY`].
    fn tell_sender(&self, state: &mut State, track: &Track, now: Timestamp) {
        if track.kind.is_audio() {
            return;
        }
        let Some(sender) = track.publisher() else {
            return;
        };
        let announced = track.announced_layers();
        let wanted = wanted_layers(track, announced) | track.within(track.bus_layers());
        let limit = self.bitrate_limit(state, track);
        let told = state.told.entry(track.id).or_insert(Told {
            layers: announced,
            limit: None,
            shrink_at: None,
        });
        if is_news(told.limit, limit) {
            told.limit = limit;
            tracing::debug!(meeting = %self.id, session = %track.id.session, track = track.id.track.0, ?limit, "a sender is bounded");
            let message = ServerMessage::BitrateLimit {
                track: track.id.track,
                max_bitrate_bps: limit,
            };
            self.send(&sender, message.encode(), now);
        }
        // Beside a bounded layer, each other counts as wanted without bounds.
        let due = limit.is_some() || told.shrink_at.is_some_and(|at| at <= now);
        let layers = match due {
            true => wanted,
            // A layer that is announced no longer cannot shrink, it is gone.
            false => told.layers & announced | wanted,
        };
        let more_than_wanted = layers & announced & !wanted != 0;
        told.shrink_at = match told.shrink_at.filter(|_| !due) {
            _ if !more_than_wanted => None,
            Some(at) => Some(at),
            None => Some(now + SHRINK_DELAY),
        };
        let before = std::mem::replace(&mut told.layers, layers);
        // Whoever comes after a break must not be greeted with a picture from before it.
        bits(before & !layers).for_each(|spatial| track.forget_layer(spatial));
        if before != layers {
            let message = ServerMessage::LayersWanted {
                track: track.id.track,
                spatial_layers: bits(layers & announced).collect(),
            };
            self.send(&sender, message.encode(), now);
        }
    }

    /// The most that anybody, here or on another relay, can take of the largest layer that is wanted of a track of ours.
    fn bitrate_limit(&self, state: &State, track: &Track) -> BitrateLimit {
        let elsewhere = state.wishes_elsewhere(track.id).filter_map(|wish| {
            let largest = wish.spatial_layers.iter().max()?;
            Some((track.nearest_layer(*largest), wish.max_bitrate_bps))
        });
        let here = self.limit_here(state, track);
        elsewhere.chain(here).reduce(less_bounded)?.1
    }

    /// The largest layer that somebody here is to be given of a track, and the most that anybody of them can take of it.
    pub(super) fn limit_here(&self, state: &State, track: &Track) -> Option<(u8, BitrateLimit)> {
        let mut most: Option<(u8, BitrateLimit)> = None;
        let largest = track.nearest_layer(u8::MAX);
        let subscribers = track.subscribers.load();
        for subscription in subscribers.iter() {
            let Some(target) = subscription.target() else {
                continue;
            };
            let layer = track.nearest_layer(target);
            if most.is_some_and(|(so_far, limit)| layer < so_far || layer == so_far && limit.is_none()) {
                continue;
            }
            let theirs = (layer, self.limit_of(state, subscription, track));
            most = Some(most.map_or(theirs, |most| less_bounded(most, theirs)));
            if most == Some((largest, None)) {
                break;
            }
        }
        most
    }

    /// What a receiver's path carries of a track: of what it carries of pictures, as much as the track has of the pictures
    /// that the receiver wants. `None` when that is all of the layer that is wanted.
    fn limit_of(&self, state: &State, subscription: &Subscription, track: &Track) -> BitrateLimit {
        let path = state.paths.get(&subscription.member.session())?;
        let nominal = self.bitrate_of(track, subscription);
        let share = path.limit.saturating_mul(nominal) / path.wanted.max(nominal);
        // Below its bitrate, and therefore a u32.
        (share < nominal).then(|| NonZeroU32::new(share as u32).unwrap_or(NonZeroU32::MIN))
    }

    /// What the layer that a receiver wants has, bits per second, as it was announced and may be sent.
    fn bitrate_of(&self, track: &Track, subscription: &Subscription) -> u64 {
        let layer = track.nearest_layer(subscription.wanted());
        let description = track.description();
        let announced = description.iter().find(|info| info.spatial == layer);
        let bitrate = announced.map_or(0, |info| u64::from(info.bitrate_bps));
        match bitrate {
            0 => USUAL_BITRATE_BPS,
            bitrate => bitrate.min(self.settings.limits.max_upload_bps).max(1),
        }
    }

    /// What the paths of members carry that do not carry everything.
    fn narrow_paths(&self, state: &State) -> BTreeMap<SessionId, NarrowPath> {
        let tracks = self.tracks.load();
        let narrow = |local: &LocalMember| {
            let limit = local.member.outbox.limit()?;
            let pictures = local.subscriptions.iter().filter_map(|(id, subscription)| {
                let track = tracks.get(id)?;
                let flows = !track.kind.is_audio() && !track.is_muted() && subscription.target().is_some();
                flows.then(|| self.bitrate_of(track, subscription))
            });
            let wanted = pictures.sum();
            let left_out = local.member.restriction();
            tracing::trace!(meeting = %self.id, session = %local.member.session(), limit, ?left_out, "a path does not carry everything");
            Some((local.member.session(), NarrowPath { limit, wanted }))
        };
        state.connected().filter_map(narrow).collect()
    }

    /// A sender that has connected anew does not know what it was told before.
    pub(super) fn forget_what_was_told(state: &mut State, session: SessionId) {
        state.told.retain(|id, _| id.session != session);
    }

    /// What paths carry changes without anybody saying so; looked at now and then.
    pub(super) fn review_layers(&self, state: &mut State, now: Timestamp) {
        state.paths = self.narrow_paths(state);
        let tracks = self.tracks.load_full();
        for track in tracks.values() {
            self.tell_sender(state, track, now);
        }
        self.publish_interest(state, now);
        self.follow_what_is_sent(state, now);
    }

    /// Layers of a track of another relay that somebody here is to be given.
    pub(super) fn layers_wanted_here(track: &Track) -> u8 {
        wanted_layers(track, track.announced_layers())
    }

    /// Sets which layers of a track of ours other relays want. Those that begin start from what is
    /// kept, which is quicker than a keyframe from the sender.
    fn set_bus_layers(&self, state: &mut State, track: &Track, layers: u8, now: Timestamp) {
        let new = layers & !track.set_bus_layers(layers);
        self.tell_sender(state, track, now);
        if new == 0 || track.kind.is_audio() || track.is_muted() {
            return;
        }
        for spatial in bits(track.within(new)) {
            let replayed = track.replay(spatial, |header, packet| {
                self.bus_outbox.push_frame(packet, header, now);
            });
            if replayed != Replay::Complete {
                self.request_keyframe(track.id, spatial, now);
            }
        }
    }

    /// Applies what other relays want to the tracks of this one.
    pub(super) fn sync_bus_interest(&self, state: &mut State, now: Timestamp) {
        let speakers = state.relays.values().any(|relay| relay.interest.speakers);
        self.bus_hears_speakers.store(speakers, Ordering::Relaxed);
        let local: Vec<_> = state.members.keys().copied().collect();
        for session in local {
            self.sync_bus_layers(state, session, now);
        }
    }

    fn sync_bus_layers(&self, state: &mut State, session: SessionId, now: Timestamp) {
        for (_, track) in of_session(&self.tracks.load_full(), session) {
            let layers = state.layers_wanted_elsewhere(track.id);
            if layers != track.bus_layers() {
                self.set_bus_layers(state, track, layers, now);
            }
        }
    }
}

/// Bit n: somebody among the track's receivers here is to be given spatial layer n.
fn wanted_layers(track: &Track, announced: u8) -> u8 {
    let mut layers = 0;
    for subscription in track.subscribers.load().iter() {
        if let Some(target) = subscription.target() {
            layers |= 1 << track.nearest_layer(target);
        }
        if layers == announced {
            break;
        }
    }
    layers
}

/// Of two wishes for a layer, that for the larger; of two for the same one, that which can take more.
fn less_bounded(one: (u8, BitrateLimit), other: (u8, BitrateLimit)) -> (u8, BitrateLimit) {
    match one.0.cmp(&other.0) {
        std::cmp::Ordering::Less => other,
        std::cmp::Ordering::Greater => one,
        std::cmp::Ordering::Equal => (one.0, one.1.zip(other.1).map(|(one, other)| one.max(other))),
    }
}

/// Whether a limit is another one than that which was told.
pub(super) fn is_news(told: BitrateLimit, limit: BitrateLimit) -> bool {
    match (told, limit) {
        (Some(told), Some(limit)) => {
            let (told, limit) = (told.get(), limit.get());
            told.abs_diff(limit) > told / 100 * WORTH_TELLING_PERCENT
        }
        (told, limit) => told != limit,
    }
}

/// The numbers of the bits that are set, in ascending order.
pub(super) fn bits(layers: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |bit| layers >> bit & 1 == 1)
}

/// The tracks of one session.
fn of_session(
    tracks: &BTreeMap<TrackRef, Arc<Track>>,
    session: SessionId,
) -> impl Iterator<Item = (&TrackRef, &Arc<Track>)> {
    let first = TrackRef {
        session,
        track: videocall_types::TrackId(0),
    };
    tracks
        .range(first..)
        .take_while(move |(id, _)| id.session == session)
}

impl LocalMember {
    /// Subscribes to a track, if that is wanted and not done yet.
    fn subscribe(&mut self, track: &Arc<Track>) -> Option<Arc<Subscription>> {
        if track.id.session == self.member.session() || self.subscriptions.contains_key(&track.id) {
            return None;
        }
        self.choice.of(track)?;
        let subscription = Subscription::new(self.member.clone());
        self.renew(track, &subscription);
        self.subscriptions.insert(track.id, subscription.clone());
        Some(subscription)
    }

    /// Sets what is wanted of a track. Returns whether that is another layer than before.
    fn renew(&self, track: &Track, subscription: &Subscription) -> bool {
        subscription
            .hears_speakers
            .store(self.choice.speakers, Ordering::Relaxed);
        let Some(ranked) = self.choice.of(track) else {
            return false;
        };
        subscription.want(layer_for(&ranked.wish, &track.description()), ranked.rank)
    }

    /// The tracks that this member wants and that there are.
    fn wanted<'a>(&self, tracks: &'a BTreeMap<TrackRef, Arc<Track>>) -> Vec<&'a Arc<Track>> {
        if !self.is_connected() {
            return Vec::new();
        }
        let mut wanted: Vec<_> = match self.choice.wants_everything() {
            true => tracks.values().filter(|track| !track.kind.is_audio()).collect(),
            false => self.choice.named().filter_map(|id| tracks.get(&id)).collect(),
        };
        wanted.retain(|track| track.id.session != self.member.session());
        wanted
    }

    /// Tracks that are subscribed to and no longer wanted.
    fn unwanted(&self, tracks: &BTreeMap<TrackRef, Arc<Track>>) -> Vec<TrackRef> {
        let is_wanted = |id: &TrackRef| {
            self.is_connected()
                && tracks
                    .get(id)
                    .is_some_and(|track| self.choice.of(track).is_some())
        };
        let subscribed = self.subscriptions.keys().copied();
        subscribed.filter(|id| !is_wanted(id)).collect()
    }
}

impl State {
    /// Bit n: some other relay wants spatial layer n of this track of ours; of sound bit 0, when it
    /// was asked for by name.
    fn layers_wanted_elsewhere(&self, id: TrackRef) -> u8 {
        if !self.members.contains_key(&id.session) {
            return 0;
        }
        let wishes = self.wishes_elsewhere(id);
        wishes.fold(0, |layers, wish| match wish.spatial_layers.is_empty() {
            true => layers | 1,
            false => wish
                .spatial_layers
                .iter()
                .fold(layers, |bits, layer| bits | 1 << layer),
        })
    }

    /// What other relays want of a track.
    fn wishes_elsewhere(&self, id: TrackRef) -> impl Iterator<Item = &TrackInterest> {
        self.relays.values().filter_map(move |relay| {
            let tracks = &relay.interest.tracks;
            let found = tracks.binary_search_by_key(&id, |wish| wish.track).ok();
            found.map(|index| &tracks[index])
        })
    }
}
