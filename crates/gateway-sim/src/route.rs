//! The rack's routes and how a request finds its own: on the percent-decoded path, without any cleaning, the
//! first match wins (API.md 0.7 and 1.2).

mod table;

use crate::call::Call;
use crate::options::Flavour;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::socket::SocketKind;
use crate::state::State;
use crate::wire::Head;

pub(crate) use table::ROUTES;

/// What does the work of an HTTP route.
pub(crate) type Handler = fn(&Call, &mut State) -> Result<Reply, Refusal>;

/// Which racks have a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum On {
    Both,
    OnlyV3,
    OnlyV2,
}

/// What a route leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To {
    Http(Handler),
    /// A GET with `Upgrade: websocket`.
    Socket(SocketKind),
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// `*` for all.
    pub(crate) method: &'static str,
    pub(crate) pattern: &'static str,
    pub(crate) on: On,
    pub(crate) to: To,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Found {
    Route(&'static Route, Vec<(&'static str, String)>),
    /// No such path.
    Nothing,
    /// The path is there, the method is not.
    WrongMethod,
}

/// Finds the route of a request.
pub(crate) fn find(flavour: Flavour, head: &Head, path: &str) -> Found {
    let upgrade = head.header("upgrade") == Some("websocket");
    let mut wrong_method = false;
    for route in ROUTES {
        let here = match route.on {
            On::Both => true,
            On::OnlyV3 => flavour == Flavour::V3,
            On::OnlyV2 => flavour == Flavour::V2,
        };
        let Some(vars) = here.then(|| matches(route.pattern, path)).flatten() else { continue };
        let method_fits = route.method == "*" || route.method == head.first;
        match route.to {
            _ if !method_fits => wrong_method = true,
            To::Socket(_) if !upgrade => {}
            To::Socket(_) | To::Http(_) => return Found::Route(route, vars),
        }
    }
    if wrong_method { Found::WrongMethod } else { Found::Nothing }
}

/// Matches a decoded path. `{x}` is one segment that is not empty, `{x}.tgz` one with that end, `{x*}` the rest.
fn matches(pattern: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut vars = Vec::new();
    let mut rest = path;
    for piece in pattern.split('/').skip(1) {
        rest = rest.strip_prefix('/')?;
        let (segment, tail) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        match piece.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, "")) if name.ends_with('*') => {
                vars.push((name.trim_end_matches('*'), rest.to_owned()));
                return Some(vars);
            }
            Some((name, end)) => {
                let value = segment.strip_suffix(end).filter(|value| !value.is_empty())?;
                vars.push((name, value.to_owned()));
            }
            None if piece == segment => {}
            None => return None,
        }
        rest = tail;
    }
    rest.is_empty().then_some(vars)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str, upgrade: &str) -> String {
        let head = Head {
            first: method.to_owned(),
            headers: vec![("Upgrade".to_owned(), upgrade.to_owned())],
            ..Head::default()
        };
        match find(Flavour::V3, &head, path) {
            Found::Route(route, vars) => {
                let values: Vec<String> = vars.into_iter().map(|(_, value)| value).collect();
                format!("{} {} {}", route.method, route.pattern, values.join(","))
            }
            Found::Nothing => "404".to_owned(),
            Found::WrongMethod => "405".to_owned(),
        }
    }

    #[test]
    fn requests_find_the_route_a_rack_would_take() {
        let cases = [
            ("GET", "/apps", "", "GET /apps "),
            ("GET", "//apps", "", "404"),
            ("GET", "/apps/", "", "404"),
            ("GET", "/apps/a/../b", "", "404"),
            ("GET", "/apps/myapp/builds", "", "GET /apps/{app}/builds myapp"),
            ("GET", "/apps/a/builds/B1.tgz", "", "GET /apps/{app}/builds/{id}.tgz a,B1"),
            ("GET", "/apps/a/builds/import", "", "GET /apps/{app}/builds/{id} a,import"),
            ("POST", "/apps/a/builds/import", "", "POST /apps/{app}/builds/import a"),
            ("POST", "/apps/a/objects/", "", "POST /apps/{app}/objects/{key*} a,"),
            ("POST", "/apps/a/objects/tmp/x.tgz", "", "POST /apps/{app}/objects/{key*} a,tmp/x.tgz"),
            (
                "DELETE",
                "/registries/index.docker.io/v1",
                "",
                "DELETE /registries/{server*} index.docker.io/v1",
            ),
            ("GET", "/apps/a/logs", "websocket", "GET /apps/{app}/logs a"),
            ("GET", "/apps/a/logs", "WebSocket", "404"),
            ("GET", "/apps/a/logs", "", "404"),
            ("POST", "/apps/a/logs", "", "405"),
            ("GET", "/apps", "websocket", "GET /apps "),
            ("GET", "/apps/a/cancel", "websocket", "405"),
            ("PATCH", "/check", "", "* /check "),
            ("GET", "/machines", "", "404"),
            ("GET", "/system/sync/whitelist/instances/ip", "", "404"),
        ];
        for (method, path, upgrade, expected) in cases {
            assert_eq!(found(method, path, upgrade), expected, "{method} {path}");
        }
    }
}
