//! Acknowledging: how far a durable consumer is.

use http::Method;
use http::header::CONTENT_TYPE;
use tokio::time::timeout;

use super::endpoint::{ANSWER_MAX, refusal};
use super::error::Cut;
use super::{Endpoint, Error};

/// Says that all of a channel up to a cursor was dealt with, so that the consumer's next read begins there.
///
/// # Errors
///
/// [`Error::Refused`] where the cursor is none of the channel's, or the consumer may not be one;
/// [`Error::Unreachable`] where there was no answer: to say it again, or something later, does no harm.
pub async fn acknowledge(
    endpoint: &Endpoint,
    consumer: &str,
    channel: &str,
    cursor: &str,
) -> Result<(), Error> {
    let url = endpoint.url(&["v1", "channels", channel, "consumers", consumer, "ack"]);
    let body = serde_json::json!({ "cursor": cursor }).to_string();
    let request = endpoint.request(Method::POST, url).header(CONTENT_TYPE, "application/json").body(body);
    let lost = |why: String| Error::Unreachable(format!("an acknowledgement has no answer: {why}"));
    let answer = timeout(ANSWER_MAX, request.send()).await.map_err(|_| lost("it took too long".into()))?;
    let response = answer.map_err(|error| lost(error.without_url().to_string()))?;
    if response.status().is_success() {
        return Ok(());
    }
    match refusal(response).await {
        Cut::Final(error) | Cut::Unfit(error) => Err(error),
        Cut::Again { why, .. } => Err(lost(why)),
        Cut::Done => Err(lost("the connection ended".into())),
    }
}
