//! One connection that comes back after it broke.

use bytes::Bytes;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::plan::Checked;
use crate::report::Outcome;

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// A connection to the server under load, opened when first needed.
pub(crate) struct Connection<'a> {
    checked: &'a Checked,
    sender: Option<Sender>,
}

/// Who asks.
pub(crate) struct User<'a> {
    pub(crate) number: usize,
    pub(crate) cookie: Option<&'a str>,
}

impl<'a> Connection<'a> {
    pub(crate) const fn new(checked: &'a Checked) -> Self {
        Self { checked, sender: None }
    }

    /// Sends one request and reads its whole answer; returns a cookie when the server gave one.
    pub(crate) async fn send(&mut self, path: &str, user: Option<User<'_>>) -> (Outcome, Option<String>) {
        let timeout = self.checked.plan.timeout;
        match tokio::time::timeout(timeout, self.exchange(path, user)).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => {
                self.sender = None;
                (Outcome::ConnectionError, None)
            }
            Err(_) => {
                // Its answer may still come, so this connection cannot carry another request.
                self.sender = None;
                (Outcome::Timeout, None)
            }
        }
    }

    async fn exchange(
        &mut self,
        path: &str,
        user: Option<User<'_>>,
    ) -> Result<(Outcome, Option<String>), Broken> {
        let request = self.request(path, user)?;
        let ready = match &mut self.sender {
            Some(Sender::Http1(sender)) => sender.ready().await.is_ok(),
            Some(Sender::Http2(sender)) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.sender = Some(connect(self.checked).await?);
        }
        let response = match self.sender.as_mut().expect("connected above") {
            Sender::Http1(sender) => sender.send_request(request).await,
            Sender::Http2(sender) => sender.send_request(request).await,
        };
        let response = response.map_err(|_| Broken)?;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (status, version) = (response.status().as_u16(), header("x-version"));
        let cookie =
            header(SET_COOKIE.as_str()).and_then(|text| Some(text.split(';').next()?.trim().to_owned()));
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|_| Broken)?;
        }
        Ok((Outcome::Answered { status, version }, cookie))
    }

    fn request(&self, path: &str, user: Option<User<'_>>) -> Result<Request<Empty<Bytes>>, Broken> {
        let authority = &self.checked.authority;
        let mut request = if self.checked.plan.h2c {
            Request::builder().uri(format!("http://{authority}{path}"))
        } else {
            Request::builder().uri(path).header(HOST, authority)
        };
        if let Some(user) = user {
            request = request.header("x-user", HeaderValue::from(user.number));
            if let Some(cookie) = user.cookie {
                request = request.header(COOKIE, cookie);
            }
        }
        request.body(Empty::new()).map_err(|_| Broken)
    }
}

/// The request got no answer; the counts do not tell the reasons apart.
pub(crate) struct Broken;

async fn connect(checked: &Checked) -> Result<Sender, Broken> {
    let stream = TcpStream::connect(checked.address).await.map_err(|_| Broken)?;
    stream.set_nodelay(true).map_err(|_| Broken)?;
    let io = TokioIo::new(stream);
    if checked.plan.h2c {
        let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await.map_err(|_| Broken)?;
        tokio::spawn(async move { drop(driver.await) });
        Ok(Sender::Http2(sender))
    } else {
        let (sender, driver) = http1::handshake(io).await.map_err(|_| Broken)?;
        tokio::spawn(async move { drop(driver.await) });
        Ok(Sender::Http1(sender))
    }
}
