//! From a URL to an open WebSocket, or to why there is none.

use http::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, Method};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

use super::endpoint::{ANSWER_MAX, USER_AGENT, refusal};
use super::error::{Blame, Cut, Error, Problem, describe, untrusted};
use super::silence::Watched;
use super::{Endpoint, ITEM_BYTES_MAX, Timing};

/// A WebSocket that counts as dead when it says nothing.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<Watched<TcpStream>>>;

/// Opens a WebSocket. Gives the headers of the 101 with it.
///
/// A URL with a `subprotocol` is good for nothing but an upgrade: a plain request to it would not
/// tell why one was refused.
pub(super) async fn open(
    endpoint: &Endpoint,
    url: Url,
    timing: &Timing,
    subprotocol: Option<&'static str>,
) -> Result<(Socket, HeaderMap), Cut> {
    let tcp = connect(&url, timing).await?;
    let shaking = handshake(endpoint, &url, Watched::new(tcp, timing.silence), subprotocol);
    match timeout(timing.connect, shaking).await {
        Ok(Ok(shaken)) => Ok(shaken),
        Ok(Err(WsError::Http(response))) => {
            let body = response.body().as_deref().unwrap_or_default();
            let problem = Problem::read(response.status(), body);
            // The body of a refusal has often not come yet.
            Err(if problem.is_tidings() || subprotocol.is_some() {
                Cut::refused(problem, response.headers())
            } else {
                ask_why(endpoint, url, problem, response.headers()).await
            })
        }
        Ok(Err(error)) => Err(lost(&error)),
        Err(_) => Err(Cut::lost("no answer to the WebSocket handshake")),
    }
}

/// Connects, within the time for it.
async fn connect(url: &Url, timing: &Timing) -> Result<TcpStream, Cut> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let network = |why: String| Cut::Again { why, hint: None, blame: Blame::Network };
    match timeout(timing.connect, TcpStream::connect((host, port))).await {
        Ok(Ok(tcp)) => {
            // Small frames must not wait for each other; where it cannot be set, they do.
            let _ = tcp.set_nodelay(true);
            Ok(tcp)
        }
        Ok(Err(error)) => Err(network(error.to_string())),
        Err(_) => Err(network("no answer to the connection".to_owned())),
    }
}

async fn handshake(
    endpoint: &Endpoint,
    url: &Url,
    tcp: Watched<TcpStream>,
    subprotocol: Option<&'static str>,
) -> Result<(Socket, HeaderMap), WsError> {
    let mut url = url.clone();
    // Cannot fail: both are schemes of the same kind.
    let _ = url.set_scheme(if url.scheme() == "https" { "wss" } else { "ws" });
    let mut request = url.as_str().into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if let Some(host) = endpoint.host() {
        headers.insert(http::header::HOST, host.clone());
    }
    if let Some(auth) = endpoint.auth() {
        headers.insert(AUTHORIZATION, auth.clone());
    }
    if let Some(name) = subprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(1 << 20)
        .max_message_size(Some(ITEM_BYTES_MAX))
        .max_frame_size(Some(ITEM_BYTES_MAX));
    #[cfg(feature = "client-tls")]
    let connector = tokio_tungstenite::Connector::Rustls(endpoint.tls());
    #[cfg(feature = "client-tls")]
    let (socket, response) =
        tokio_tungstenite::client_async_tls_with_config(request, tcp, Some(config), Some(connector)).await?;
    #[cfg(not(feature = "client-tls"))]
    let (socket, response) =
        tokio_tungstenite::client_async_with_config(request, MaybeTlsStream::Plain(tcp), Some(config))
            .await?;
    Ok((socket, response.into_parts().0.headers))
}

/// The reason of a refusal that could not be read: the same URL is asked by poll, as a browser
/// must. If that is not refused, the upgrade itself was.
async fn ask_why(endpoint: &Endpoint, url: Url, problem: Problem, headers: &HeaderMap) -> Cut {
    match timeout(ANSWER_MAX, endpoint.request(Method::GET, url).send()).await {
        Ok(Ok(response)) if response.status().is_success() => Cut::refused(problem, headers),
        Ok(Ok(response)) => refusal(response).await,
        Ok(Err(error)) => Cut::from_reqwest(&error),
        Err(_) => Cut::refused(problem, headers),
    }
}

/// What an error of the WebSocket means.
pub(super) fn lost(error: &WsError) -> Cut {
    match error {
        WsError::Capacity(error) => Cut::Final(Error::Unexpected(error.to_string())),
        WsError::Protocol(error @ ProtocolError::SecWebSocketSubProtocolError(_)) => {
            Cut::Unfit(Error::Unexpected(error.to_string()))
        }
        error if let Some(why) = untrusted(error) => Cut::Final(why),
        WsError::Url(error) => Cut::Final(Error::Unsendable(error.to_string())),
        error => Cut::lost(describe(error)),
    }
}
