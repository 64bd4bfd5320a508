//! Reading over a WebSocket.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Method};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

use super::endpoint::{USER_AGENT, refusal};
use super::error::{Blame, Cut, Error, Problem, describe};
use super::item::{Frame, Greeting};
use super::link::Event;
use super::silence::Watched;
use super::{Endpoint, ITEM_BYTES_MAX, Timing};

type Socket = WebSocketStream<MaybeTlsStream<Watched<TcpStream>>>;

/// How long to wait for the answer to a close.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// An open WebSocket, greeted.
#[derive(Debug)]
pub(super) struct Link {
    socket: Socket,
    /// The last error frame, which says more than the close code that may follow.
    problem: Option<Problem>,
}

impl Link {
    pub(super) async fn open(
        endpoint: &Endpoint,
        url: Url,
        timing: &Timing,
    ) -> Result<(Self, Greeting), Cut> {
        let tcp = connect(&url, timing).await?;
        let shaken = timeout(timing.connect, handshake(endpoint, &url, Watched::new(tcp, timing.silence)));
        let (socket, head) = match shaken.await {
            Ok(Ok(shaken)) => shaken,
            // The body of a refusal is not always there: ask the same URL by poll, as a browser must.
            Ok(Err(WsError::Http(response))) => {
                let body = response.body().as_deref().unwrap_or_default();
                let problem = Problem::read(response.status(), body);
                if problem.is_tidings() {
                    return Err(Cut::refused(problem, response.headers()));
                }
                return Err(ask_why(endpoint, url, problem, response.headers()).await);
            }
            Ok(Err(error)) => return Err(lost(&error)),
            Err(_) => return Err(Cut::lost("no answer to the WebSocket handshake")),
        };
        let mut link = Self { socket, problem: None };
        let delivery = head.get("tidings-delivery").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let greeting = timeout(timing.connect, link.greeting()).await;
        let greeting = greeting.map_err(|_| Cut::lost("no greeting on the WebSocket"))??;
        Ok((link, Greeting { delivery, ..greeting }))
    }

    async fn greeting(&mut self) -> Result<Greeting, Cut> {
        loop {
            match self.frame().await? {
                Frame::Subscribed(greeting) => return Ok(greeting),
                Frame::Message(_) | Frame::Gap { .. } => {
                    return Err(Cut::lost("an item before the greeting"));
                }
                _ => {}
            }
        }
    }

    pub(super) async fn next(&mut self) -> Result<Event, Cut> {
        loop {
            if let Some(event) = Event::from_frame(self.frame().await?) {
                return Ok(event);
            }
        }
    }

    async fn frame(&mut self) -> Result<Frame, Cut> {
        loop {
            match self.socket.next().await {
                Some(Ok(WsMessage::Text(text))) => match Frame::parse(&text)? {
                    Frame::Error(problem) => self.problem = Some(problem),
                    frame => return Ok(frame),
                },
                Some(Ok(WsMessage::Close(frame))) => {
                    let cut = closed(frame.as_ref(), self.problem.take());
                    // Sends the answer to the close; nothing depends on it.
                    let _ = timeout(LEAVE_MAX, self.socket.close(None)).await;
                    return Err(cut);
                }
                // Pings are answered by the library.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(lost(&error)),
                None => return Err(Cut::lost("the WebSocket broke off")),
            }
        }
    }

    pub(super) async fn close(mut self) {
        let _ = timeout(LEAVE_MAX, self.socket.close(None)).await;
    }
}

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
) -> Result<(Socket, HeaderMap), WsError> {
    let mut url = url.clone();
    // Cannot fail: both are schemes of the same kind.
    let _ = url.set_scheme(if url.scheme() == "https" { "wss" } else { "ws" });
    let mut request = url.as_str().into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if let Some(auth) = endpoint.auth() {
        headers.insert(AUTHORIZATION, auth.clone());
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(1 << 20)
        .max_message_size(Some(ITEM_BYTES_MAX))
        .max_frame_size(Some(ITEM_BYTES_MAX));
    #[cfg(feature = "client-tls")]
    let (socket, response) =
        tokio_tungstenite::client_async_tls_with_config(request, tcp, Some(config), None).await?;
    #[cfg(not(feature = "client-tls"))]
    let (socket, response) =
        tokio_tungstenite::client_async_with_config(request, MaybeTlsStream::Plain(tcp), Some(config))
            .await?;
    Ok((socket, response.into_parts().0.headers))
}

/// The reason of a refusal that could not be read. If a poll is not refused, the upgrade was.
async fn ask_why(endpoint: &Endpoint, url: Url, problem: Problem, headers: &HeaderMap) -> Cut {
    match timeout(super::endpoint::ANSWER_MAX, endpoint.request(Method::GET, url).send()).await {
        Ok(Ok(response)) if response.status().is_success() => Cut::refused(problem, headers),
        Ok(Ok(response)) => refusal(response).await,
        Ok(Err(error)) => Cut::from_reqwest(&error),
        Err(_) => Cut::refused(problem, headers),
    }
}

/// What a close frame means.
fn closed(frame: Option<&CloseFrame>, problem: Option<Problem>) -> Cut {
    #[derive(Default, Deserialize)]
    struct Reason {
        #[serde(default)]
        code: String,
        #[serde(default)]
        retry_ms: Option<u64>,
    }
    let Some(frame) = frame else { return Cut::lost("the server closed the WebSocket") };
    let reason: Reason = serde_json::from_str(&frame.reason).unwrap_or_default();
    let code = u16::from(frame.code);
    let why = || {
        let name = if reason.code.is_empty() { "no reason given" } else { &reason.code };
        format!("the server closed the WebSocket: {code}, {name}")
    };
    match code {
        1000 => Cut::Done,
        1009 | 4500..=4999 => {
            let said = Problem { code: reason.code.clone(), detail: why(), ..Problem::default() };
            Cut::Final(Error::Refused(problem.unwrap_or(said)))
        }
        4000..=4499 => {
            let hint = reason.retry_ms.map(Duration::from_millis);
            Cut::Again { why: why(), hint, blame: Blame::Server }
        }
        _ => Cut::lost(why()),
    }
}

fn lost(error: &WsError) -> Cut {
    match error {
        WsError::Capacity(error) => Cut::Final(Error::Unexpected(error.to_string())),
        WsError::Url(error) => Cut::Final(Error::Unsendable(error.to_string())),
        error => Cut::lost(describe(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(code: u16, reason: &str) -> Cut {
        closed(Some(&CloseFrame { code: code.into(), reason: reason.into() }), None)
    }

    #[test]
    fn the_code_says_whether_to_come_back() {
        for code in [4000, 4001, 4002, 4003, 4321, 4499] {
            let cut = close(code, r#"{"code":"draining","retry_ms":1200}"#);
            let Cut::Again { hint, blame, .. } = cut else { panic!("{code} is final") };
            assert_eq!((hint, blame), (Some(Duration::from_millis(1200)), Blame::Server));
        }
        for code in [1009, 4500, 4501, 4503, 4504, 4999] {
            assert!(
                matches!(close(code, r#"{"code":"forbidden"}"#), Cut::Final(Error::Refused(p)) if p.code == "forbidden")
            );
        }
        assert!(matches!(close(1000, ""), Cut::Done));
        assert!(matches!(close(1001, ""), Cut::Again { blame: Blame::Transport, .. }));
    }
}
