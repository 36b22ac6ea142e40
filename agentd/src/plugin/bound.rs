//! Layer that ends a call when something else happens first: a halt, a deadline, a timer. It
//! drives the *readiness* of what is inside as part of the call, so that waiting there is bounded
//! too; tower's own timeout does not do that.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tower::{Layer, Service, ServiceExt as _, util::Oneshot};

/// What ends a call early, with the error it then ends with.
pub(crate) type End<E> = BoxFuture<'static, E>;

/// Puts a bound around a service; `end` makes it from the request.
#[derive(Debug)]
pub(crate) struct BoundLayer<R, E> {
    end: fn(&R) -> End<E>,
}

impl<R, E> BoundLayer<R, E> {
    /// A layer whose calls end at the latest when `end` does.
    pub(crate) fn new(end: fn(&R) -> End<E>) -> Self {
        Self { end }
    }
}

impl<S, R, E> Layer<S> for BoundLayer<R, E> {
    type Service = Bounded<S, R, E>;

    fn layer(&self, inner: S) -> Self::Service {
        Bounded { inner, end: self.end }
    }
}

/// A service with a bound.
#[derive(Debug)]
pub(crate) struct Bounded<S, R, E> {
    inner: S,
    end: fn(&R) -> End<E>,
}

impl<S: Clone, R, E> Clone for Bounded<S, R, E> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), end: self.end }
    }
}

impl<S, R> Service<R> for Bounded<S, R, S::Error>
where
    S: Service<R> + Clone,
    S::Future: Unpin,
    Oneshot<S, R>: Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Until<Oneshot<S, R>, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let end = (self.end)(&request);
        Until { end, inner: self.inner.clone().oneshot(request) }
    }
}

/// Whichever comes first. The end is looked at first, so that what is over before it began makes
/// no call.
pub(crate) struct Until<F, E> {
    end: End<E>,
    inner: F,
}

impl<F, T, E> Future for Until<F, E>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(error) = this.end.as_mut().poll(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut this.inner).poll(cx)
    }
}
