//! Connections that stop speaking HTTP.
//!
//! The application answers a request to upgrade like any other. Where it agrees, it leaves in the response's
//! extensions what is to become of the connection ([`Takeover`]), which then has the bare socket and runs where
//! the relay's other sessions run: not on the thread that accepted it, and with no dispatcher of HTTP
//! in between. What the connection is for is left to whoever agreed.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_codec::{Encoder as _, Framed, FramedParts};
use actix_http::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_http::h1::{Codec, Message};
use actix_http::{ConnectionType, Request, Response};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, always_ready, fn_factory, map_config};
use actix_web::HttpResponse;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::rt::net::TcpStream as LocalStream;
use bytes::{Bytes, BytesMut};
use futures::future::LocalBoxFuture;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// How long an answer may take to leave. One that agrees fits into the socket's buffer at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What has become of a connection's socket and the bytes that were read of it already.
type Taken = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a connection becomes once its upgrade is answered.
pub(crate) struct Takeover(Box<dyn FnOnce(TcpStream, Bytes) -> Taken + Send>);

impl Takeover {
    /// Gives the socket, and what was read of it behind the request, to this.
    pub(crate) fn new<F>(take: impl FnOnce(TcpStream, Bytes) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(move |stream, read| Box::pin(take(stream, read))))
    }
}

/// The connection had to be given up.
#[derive(Debug)]
pub(crate) struct UpgradeError(io::Error);

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an upgrade was not answered: {}", self.0)
    }
}

impl From<UpgradeError> for Response<BoxBody> {
    fn from(_: UpgradeError) -> Self {
        Response::internal_server_error().set_body(BoxBody::new(()))
    }
}

/// Makes the service of requests to upgrade from the application that answers them; `sessions` is where
/// connections run that are taken over.
pub(crate) fn service<F, A, B>(
    application: F,
    sessions: Handle,
) -> impl ServiceFactory<
    (Request, Framed<LocalStream, Codec>),
    Config = (),
    Response = (),
    Error = UpgradeError,
    InitError = (),
    Future = impl Future + 'static,
>
where
    F: IntoServiceFactory<A, Request>,
    A: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    A::Service: 'static,
    A::Future: 'static,
    B: MessageBody + 'static,
{
    let application = map_config(application, |()| AppConfig::default());
    fn_factory(move || {
        let sessions = sessions.clone();
        let started = application.new_service(());
        async move {
            Ok(Upgrades {
                application: Rc::new(started.await?),
                sessions,
            })
        }
    })
}

struct Upgrades<S> {
    application: Rc<S>,
    sessions: Handle,
}

impl<S, B> Service<(Request, Framed<LocalStream, Codec>)> for Upgrades<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = UpgradeError;
    type Future = LocalBoxFuture<'static, Result<(), UpgradeError>>;

    always_ready!();

    fn call(&self, (request, framed): (Request, Framed<LocalStream, Codec>)) -> Self::Future {
        let (application, sessions) = (self.application.clone(), self.sessions.clone());
        Box::pin(async move {
            // The request holds what was noted of its connection, which is counted as long as it is open.
            let (_request, mut response) = match application.call(request).await {
                Ok(answered) => {
                    let (request, response) = answered.map_into_boxed_body().into_parts();
                    (Some(request), response)
                }
                Err(error) => (None, HttpResponse::from_error(error)),
            };
            let takeover = response.extensions_mut().remove::<Takeover>();
            let FramedParts {
                mut io,
                codec,
                read_buf,
                ..
            } = framed.into_parts();
            let answered = timeout(ANSWER_TIMEOUT, answer(&mut io, codec, response.into())).await;
            answered
                .map_err(io::Error::from)
                .flatten()
                .map_err(UpgradeError)?;
            if let Some(Takeover(take)) = takeover {
                let stream = io.into_std().map_err(UpgradeError)?;
                let session = async move {
                    match TcpStream::from_std(stream) {
                        Ok(stream) => take(stream, read_buf.freeze()).await,
                        Err(error) => tracing::warn!(%error, "a connection cannot be taken over"),
                    }
                };
                // It ends with the server.
                let _ended = AbortOnDropHandle::new(sessions.spawn(session)).await;
            }
            Ok(())
        })
    }
}

/// Writes an answer. One that refuses is the last on its connection.
async fn answer(io: &mut LocalStream, mut codec: Codec, response: Response<BoxBody>) -> io::Result<()> {
    let upgraded = response.head().upgrade();
    let (mut head, body) = response.into_parts();
    let mut bytes = BytesMut::new();
    if upgraded {
        codec.encode(Message::Item((head, BodySize::Stream)), &mut bytes)?;
    } else {
        head.head_mut().set_connection_type(ConnectionType::Close);
        let body = to_bytes(body)
            .await
            .map_err(|error| io::Error::other(error.to_string()))?;
        codec.encode(
            Message::Item((head, BodySize::Sized(body.len() as u64))),
            &mut bytes,
        )?;
        codec.encode(Message::Chunk(Some(body)), &mut bytes)?;
        codec.encode(Message::Chunk(None), &mut bytes)?;
    }
    io.write_all(&bytes).await?;
    if !upgraded {
        io.shutdown().await?;
    }
    Ok(())
}
