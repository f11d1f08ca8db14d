//! A route table in the form requests are decided with. Pure: a request's head, the client's
//! address, whether the canary's lease still runs and a source of chance go in; a choice comes out.

use crate::networks::{Networks, NotANetwork};
use crate::split::{Dice, Point, salt};
use http::HeaderMap;
use http::header::{COOKIE, HeaderName};
use std::net::IpAddr;
use taxiway_model::ids::VersionName;
use taxiway_model::route::{Backend, CanaryRoute, FreshRoute, HeaderRule, HeaderSource, RouteTable, Sticky};
use taxiway_model::weight::WeightBp;

/// The class of requests no prefix claims.
pub const OTHER_CLASS: &str = "other";

/// A route table that cannot be served, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The baseline has no entry in `backends`.
    #[error("the baseline {0} has no entry in backends; name its instances (an empty list while none is up)")]
    BaselineWithoutBackends(VersionName),
    /// The canary has no entry in `backends`.
    #[error("the canary {0} has no entry in backends; name its instances (an empty list while none is up)")]
    CanaryWithoutBackends(VersionName),
    /// The same version on both sides.
    #[error("{0} is both baseline and canary; a release of a version to itself has nothing to compare")]
    SameOnBothSides(VersionName),
    /// The fresh baseline has no entry in `backends`.
    #[error(
        "the fresh baseline {0} has no entry in backends; name its instances (an empty list while none is up)"
    )]
    FreshWithoutBackends(VersionName),
    /// A fresh baseline that is the canary or the baseline itself, or stands beside neither.
    #[error("the fresh baseline {0} has to be a third group beside a canary and a baseline")]
    FreshIsNoThird(VersionName),
    /// More than everything.
    #[error("canary {canary} and fresh baseline {fresh} are more than everything; lower one of them")]
    MoreThanAll {
        /// The canary's share.
        canary: WeightBp,
        /// The fresh baseline's.
        fresh: WeightBp,
    },
    /// A header name that HTTP does not allow.
    #[error("{what} {name:?} is not a valid header name; use letters, digits and '-'")]
    BadHeaderName {
        /// Where it stands.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A cookie name that HTTP does not allow.
    #[error("{name:?} is not a valid cookie name; use letters, digits, '-' and '_'")]
    BadCookieName {
        /// The name.
        name: String,
    },
    /// An endpoint class that cannot match or collides.
    #[error("endpoint class {name:?}: {why}")]
    BadClass {
        /// The class.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A trusted network that is none.
    #[error("trusted_proxies: {0}")]
    BadNetwork(#[from] NotANetwork),
    /// A limit of zero, which would refuse everything.
    #[error("limit {0} is zero, which would refuse every request; leave it out for the default")]
    ZeroLimit(&'static str),
    /// No listen address.
    #[error("listen.addresses is empty; name at least one host:port")]
    NoAddress,
}

/// A table ready for use.
#[derive(Debug)]
pub struct Table {
    /// What it was made from.
    pub source: RouteTable,
    /// Index into `versions` of whoever serves the rest.
    pub baseline: Option<usize>,
    /// The version under test.
    pub canary: Option<Canary>,
    /// Every version with its instances, in the order of their names.
    pub versions: Vec<(VersionName, Vec<Backend>)>,
    /// Names of the endpoint classes; the last one is `other`.
    pub classes: Vec<String>,
    /// Whose forwarding headers are believed.
    pub trusted: Networks,
    sticky: Key,
}

/// How the canary gets requests, ready for use.
#[derive(Debug)]
pub struct Canary {
    /// Index into the table's versions.
    pub version: usize,
    /// Its share.
    pub weight: WeightBp,
    /// Share of the baseline's requests copied to it.
    pub mirror: WeightBp,
    /// Fresh instances of the baseline beside it: their index into the table's versions, and their share.
    pub fresh: Option<(usize, WeightBp)>,
    rule: Option<Rule>,
    salt: u64,
}

#[derive(Debug)]
struct Rule {
    source: Source,
    values: Vec<String>,
}

#[derive(Debug)]
enum Source {
    Header(HeaderName),
    Cookie(String),
}

#[derive(Debug)]
enum Key {
    None,
    Cookie(String),
    Header(HeaderName),
    Address,
}

/// Where one request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Index into the table's versions.
    pub version: usize,
    /// A copy goes there too, its answer thrown away.
    pub mirror: Option<usize>,
    /// The client has no stickiness cookie yet: give it this token.
    pub new_token: Option<u64>,
}

/// What of a request decides where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its header fields.
    pub headers: &'a HeaderMap,
    /// The client's address, behind trusted proxies.
    pub client: IpAddr,
}

impl Table {
    /// Reads a table; refuses what could not be served.
    pub fn compile(source: RouteTable) -> Result<Self, Error> {
        check_listen(&source)?;
        let versions: Vec<_> = source.backends.iter().map(|(v, b)| (v.clone(), b.clone())).collect();
        let find = |wanted: &VersionName| versions.iter().position(|(name, _)| name == wanted);
        let baseline = match &source.baseline {
            Some(name) => Some(find(name).ok_or_else(|| Error::BaselineWithoutBackends(name.clone()))?),
            None => None,
        };
        let canary = match &source.canary {
            Some(route) => {
                let name = &route.version;
                if source.baseline.as_ref() == Some(name) {
                    return Err(Error::SameOnBothSides(name.clone()));
                }
                Some(Canary {
                    version: find(name).ok_or_else(|| Error::CanaryWithoutBackends(name.clone()))?,
                    weight: route.weight,
                    mirror: route.mirror,
                    fresh: fresh(route, source.baseline.as_ref(), find)?,
                    rule: route.header.as_ref().map(Rule::read).transpose()?,
                    salt: salt(&[&source.stream.to_string(), name.as_str()]),
                })
            }
            None => None,
        };
        let mut classes: Vec<_> = source.listen.endpoint_classes.iter().map(|c| c.name.clone()).collect();
        classes.push(OTHER_CLASS.to_owned());
        let trusted = Networks::parse(&source.listen.trusted_proxies)?;
        let sticky = Key::read(&source.listen.sticky)?;
        Ok(Self { source, baseline, canary, versions, classes, trusted, sticky })
    }

    /// The endpoint class of a path, as index into `classes`.
    pub fn class(&self, path: &str) -> usize {
        let classes = &self.source.listen.endpoint_classes;
        classes.iter().position(|class| path.starts_with(&class.prefix)).unwrap_or(classes.len())
    }

    /// Where a request goes; none while there is no baseline, since then nothing may be served.
    pub fn decide(&self, asked: Asked<'_>, lease_runs: bool, dice: &mut Dice) -> Option<Choice> {
        let mut choice = Choice { version: self.baseline?, mirror: None, new_token: None };
        let Some(canary) = self.canary.as_ref().filter(|_| lease_runs) else {
            return Some(choice);
        };
        if canary.rule.as_ref().is_some_and(|rule| rule.matches(asked.headers)) {
            choice.version = canary.version;
            return Some(choice);
        }
        let point = match self.sticky.of(asked) {
            Stickiness::Key(key) => Point::of_key(key, canary.salt),
            Stickiness::Address(octets) => Point::of_key(&octets.to_be_bytes(), canary.salt),
            Stickiness::NewCookie => {
                let token = dice.roll();
                choice.new_token = Some(token);
                Point::of_key(token_text(token).as_bytes(), canary.salt)
            }
            Stickiness::None => dice.point(),
        };
        if point.within(canary.weight) {
            choice.version = canary.version;
        } else if let Some((fresh, _)) = canary.fresh.filter(|(_, share)| point.within_last(*share)) {
            choice.version = fresh;
        } else if canary.mirror > WeightBp::ZERO && dice.point().within(canary.mirror) {
            choice.mirror = Some(canary.version);
        }
        Some(choice)
    }

    /// The name of the stickiness cookie, where the proxy has to set one.
    pub fn sticky_cookie(&self) -> Option<&str> {
        match &self.sticky {
            Key::Cookie(name) => Some(name),
            Key::None | Key::Header(_) | Key::Address => None,
        }
    }

    /// Whether new requests can reach a version at all under this table while the lease runs.
    pub fn routes_to(&self, version: usize) -> bool {
        let canary = self.canary.as_ref().filter(|c| c.version == version);
        let fresh = self.canary.as_ref().and_then(|canary| canary.fresh);
        self.baseline == Some(version)
            || fresh.is_some_and(|(index, share)| index == version && share > WeightBp::ZERO)
            || canary
                .is_some_and(|c| c.weight > WeightBp::ZERO || c.rule.is_some() || c.mirror > WeightBp::ZERO)
    }
}

/// The fresh baseline of a route, which must be a third group with room for its share.
fn fresh(
    route: &CanaryRoute,
    baseline: Option<&VersionName>,
    find: impl Fn(&VersionName) -> Option<usize>,
) -> Result<Option<(usize, WeightBp)>, Error> {
    let Some(FreshRoute { version, weight }) = &route.fresh else { return Ok(None) };
    if *version == route.version || baseline.is_none_or(|baseline| baseline == version) {
        return Err(Error::FreshIsNoThird(version.clone()));
    }
    if *weight > route.weight.rest() {
        return Err(Error::MoreThanAll { canary: route.weight, fresh: *weight });
    }
    let index = find(version).ok_or_else(|| Error::FreshWithoutBackends(version.clone()))?;
    Ok(Some((index, *weight)))
}

/// The text of a token in the cookie. Stable: it is hashed when it comes back.
pub fn token_text(token: u64) -> String {
    format!("{token:016x}")
}

fn check_listen(source: &RouteTable) -> Result<(), Error> {
    let listen = &source.listen;
    if listen.addresses.is_empty() {
        return Err(Error::NoAddress);
    }
    let limits = &listen.limits;
    let limits = [
        ("header_bytes_max", u64::from(limits.header_bytes_max)),
        ("header_count_max", u64::from(limits.header_count_max)),
        ("body_bytes_max", limits.body_bytes_max),
        ("connections_max", u64::from(limits.connections_max)),
        ("header_ms_max", limits.header_ms_max),
        ("body_idle_ms_max", limits.body_idle_ms_max),
        ("response_ms_max", limits.response_ms_max),
        ("idle_ms_max", limits.idle_ms_max),
        ("h2_streams_max", u64::from(limits.h2_streams_max)),
    ];
    if let Some((name, _)) = limits.iter().find(|(_, value)| *value == 0) {
        return Err(Error::ZeroLimit(name));
    }
    for (i, class) in listen.endpoint_classes.iter().enumerate() {
        let fail = |why| Err(Error::BadClass { name: class.name.clone(), why });
        if !class.prefix.starts_with('/') {
            return fail("its prefix must begin with '/'");
        }
        if class.name.is_empty() || class.name == OTHER_CLASS {
            return fail("its name must not be empty or 'other', which is the class of the rest");
        }
        if listen.endpoint_classes[..i].iter().any(|c| class.prefix.starts_with(&c.prefix)) {
            return fail("an earlier class has a prefix of its prefix; put the most specific first");
        }
    }
    Ok(())
}

impl Rule {
    fn read(rule: &HeaderRule) -> Result<Self, Error> {
        let source = match rule.from {
            HeaderSource::Header => Source::Header(header_name("header rule", &rule.name)?),
            HeaderSource::Cookie => Source::Cookie(cookie_name(&rule.name)?),
        };
        Ok(Self { source, values: rule.values.clone() })
    }

    fn matches(&self, headers: &HeaderMap) -> bool {
        let wanted =
            |value: &[u8]| self.values.is_empty() || self.values.iter().any(|v| v.as_bytes() == value);
        match &self.source {
            Source::Header(name) => headers.get_all(name).iter().any(|value| wanted(value.as_bytes())),
            Source::Cookie(name) => cookie(headers, name).is_some_and(wanted),
        }
    }
}

enum Stickiness<'a> {
    None,
    Key(&'a [u8]),
    Address(u128),
    NewCookie,
}

impl Key {
    fn read(sticky: &Sticky) -> Result<Self, Error> {
        Ok(match sticky {
            Sticky::None => Self::None,
            Sticky::Cookie { name } => Self::Cookie(cookie_name(name)?),
            Sticky::Header { name } => Self::Header(header_name("sticky header", name)?),
            Sticky::Address => Self::Address,
        })
    }

    fn of<'a>(&self, asked: Asked<'a>) -> Stickiness<'a> {
        match self {
            Self::None => Stickiness::None,
            Self::Cookie(name) => match cookie(asked.headers, name) {
                Some(value) if !value.is_empty() => Stickiness::Key(value),
                _ => Stickiness::NewCookie,
            },
            Self::Header(name) => {
                asked.headers.get(name).map_or(Stickiness::None, |value| Stickiness::Key(value.as_bytes()))
            }
            Self::Address => Stickiness::Address(match asked.client.to_canonical() {
                IpAddr::V4(v4) => u128::from(v4.to_bits()),
                IpAddr::V6(v6) => v6.to_bits(),
            }),
        }
    }
}

fn header_name(what: &'static str, name: &str) -> Result<HeaderName, Error> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| Error::BadHeaderName { what, name: name.to_owned() })
}

/// Cookie names are tokens, as header names are, but with their case kept.
fn cookie_name(name: &str) -> Result<String, Error> {
    let valid = HeaderName::from_bytes(name.as_bytes()).is_ok();
    if valid { Ok(name.to_owned()) } else { Err(Error::BadCookieName { name: name.to_owned() }) }
}

/// The first cookie of that name over all `Cookie` fields.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(COOKIE).into_iter();
    fields.flat_map(|field| field.as_bytes().split(|b| *b == b';')).find_map(|pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value))
    })
}
