//! What a simulated participant sends: a picture in three sizes of three temporal layers each, and a
//! voice.

use bytes::Bytes;
use videocall_types::{Frame, FrameHeader, LayerInfo, SessionId, TrackId, TrackInfo, TrackKind};

pub(crate) const MICROPHONE: TrackId = TrackId(1);
pub(crate) const CAMERA: TrackId = TrackId(2);

/// Pixels of the spatial layers. Viewers show pictures at exactly these sizes, so that which layer a
/// size asks for is plain.
pub(crate) const SIZES: [(u32, u32); 3] = [(320, 180), (640, 360), (1280, 720)];

/// Bytes of a delta frame of each spatial layer; keyframes have six times as many.
const FRAME_BYTES: [usize; 3] = [300, 900, 2400];
const SOUND_BYTES: usize = 80;

/// -dBov of a participant who says nothing.
pub(crate) const SILENCE: u8 = 127;

/// A camera that is encoded as L1T3 in three sizes, as far as they are wanted.
#[derive(Debug)]
pub(crate) struct Camera {
    layers: [Layer; 3],
}

#[derive(Debug)]
struct Layer {
    wanted: bool,
    sequence: u64,
    /// Sequence of the newest frame of each temporal layer.
    newest: [Option<u64>; 3],
    position: usize,
    keyframe_wanted: bool,
}

impl Camera {
    pub(crate) fn new() -> Self {
        let layer = || Layer {
            wanted: true,
            sequence: 0,
            newest: [None; 3],
            position: 0,
            keyframe_wanted: true,
        };
        Self {
            layers: [layer(), layer(), layer()],
        }
    }

    /// A new connection: all layers are wanted until something else is said, and begin anew.
    pub(crate) fn restart(&mut self) {
        for layer in &mut self.layers {
            layer.wanted = true;
            layer.keyframe_wanted = true;
        }
    }

    pub(crate) fn want_layers(&mut self, spatial_layers: &[u8]) {
        for (spatial, layer) in (0..).zip(&mut self.layers) {
            let wanted = spatial_layers.contains(&spatial);
            layer.keyframe_wanted |= wanted && !layer.wanted;
            layer.wanted = wanted;
        }
    }

    pub(crate) fn want_keyframe(&mut self, spatial: u8) {
        self.layers[usize::from(spatial)].keyframe_wanted = true;
    }

    pub(crate) fn wanted_layers(&self) -> Vec<u8> {
        let wanted = (0..).zip(&self.layers).filter(|(_, layer)| layer.wanted);
        wanted.map(|(spatial, _)| spatial).collect()
    }

    /// The next picture in every size that is wanted.
    pub(crate) fn picture(&mut self) -> Vec<FrameHeader> {
        let wanted = (0..).zip(&mut self.layers).filter(|(_, layer)| layer.wanted);
        wanted.map(|(spatial, layer)| layer.frame(spatial)).collect()
    }
}

impl Layer {
    fn frame(&mut self, spatial: u8) -> FrameHeader {
        const PATTERN: [u8; 4] = [0, 2, 1, 2];
        let keyframe = std::mem::take(&mut self.keyframe_wanted);
        if keyframe {
            self.position = 0;
            self.newest = [None; 3];
        }
        let temporal = PATTERN[self.position];
        self.position = (self.position + 1) % PATTERN.len();
        let sequence = self.sequence;
        self.sequence += 1;
        let index = usize::from(temporal);
        let reference = match index {
            0 => self.newest[0],
            _ => self.newest[..index].iter().flatten().max().copied(),
        };
        self.newest[index] = Some(sequence);
        FrameHeader {
            spatial,
            temporal,
            sequence,
            keyframe,
            reference_distance: reference.map_or(0, |reference| (sequence - reference) as u32),
            ..blank()
        }
    }
}

/// A frame of sound this loud.
pub(crate) fn sound(sequence: u64, dbov: u8) -> FrameHeader {
    FrameHeader {
        track: MICROPHONE,
        kind: TrackKind::Microphone,
        sequence,
        keyframe: true,
        audio_level: Some(dbov),
        ..blank()
    }
}

/// The length of a packet with a delta frame of this size.
pub(crate) fn delta_bytes(spatial: u8) -> usize {
    packet(FrameHeader { spatial, ..blank() }).len()
}

/// The packet of a frame, as large as such frames are.
pub(crate) fn packet(header: FrameHeader) -> Bytes {
    let size = match (header.kind.is_audio(), header.keyframe) {
        (true, _) => SOUND_BYTES,
        (false, true) => FRAME_BYTES[usize::from(header.spatial)] * 6,
        (false, false) => FRAME_BYTES[usize::from(header.spatial)],
    };
    Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![0; size].into(),
    }
    .encode()
}

/// The description of both tracks, or of the microphone alone.
pub(crate) fn tracks(camera: bool) -> Vec<TrackInfo> {
    let layer = |(spatial, (width, height))| LayerInfo {
        spatial,
        temporal_layers: 3,
        width,
        height,
        frames_per_second: 25,
        bitrate_bps: 0,
    };
    let track = |track, kind, codec: &str| TrackInfo {
        track,
        kind,
        muted: false,
        codec: codec.into(),
        layers: match kind {
            TrackKind::Camera => (0..).zip(SIZES).map(layer).collect(),
            _ => Vec::new(),
        },
    };
    let microphone = track(MICROPHONE, TrackKind::Microphone, "opus");
    let camera = camera.then(|| track(CAMERA, TrackKind::Camera, "vp9"));
    std::iter::once(microphone).chain(camera).collect()
}

fn blank() -> FrameHeader {
    FrameHeader {
        session: SessionId::new(1).expect("not zero"),
        track: CAMERA,
        kind: TrackKind::Camera,
        spatial: 0,
        temporal: 0,
        sequence: 0,
        // As many bytes as in a run.
        capture_time_us: 1_000_000_000,
        keyframe: false,
        reference_distance: 0,
        duration_us: 0,
        audio_level: None,
    }
}
