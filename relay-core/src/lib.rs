//! The rules of the relay: who is in a meeting, who receives which frame, what waits where and what
//! is dropped first.
//!
//! Data goes in by method calls, data comes out of outboxes. Nothing here does IO, reads a clock or
//! knows an executor: time is an argument, and a reader of an outbox is woken through its
//! [`std::task::Waker`]. The relays run the very code that the seeded simulator runs.
//!
//! A frame's way is [`Meeting::media`] → the track's receivers → each receiver's [`Outbox`] →
//! [`Meeting::poll_outgoing`]. It takes no lock that two senders or two meetings share for longer
//! than a push onto one receiver's queue.

mod arrival;
mod budget;
mod class_set;
mod downlink;
mod meeting;
mod member;
mod outbox;
mod pressure;
mod rate;
mod settings;
mod speakers;
pub mod subject;
mod subscription;
mod track;

pub use budget::QueueBudget;
pub use class_set::ClassSet;
pub use meeting::{BusMessage, Departure, JoinRequest, Meeting, MeetingStats};
pub use member::Member;
pub use outbox::{DropCause, Outbox, OutboxStats, Outgoing};
pub use pressure::Pressure;
pub use settings::{MeetingSettings, OutboxLimits};
