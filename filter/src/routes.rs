//! Route labels: how a request's path or route name becomes one of few labels.

/// Label of a path that no template fits.
pub const UNMATCHED: &str = "other";

/// What makes the route label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RouteLabels {
    /// No label.
    #[default]
    Off,
    /// The name of the proxy's route.
    Name,
    /// The first template that fits the path, else [`UNMATCHED`].
    Path(Vec<Template>),
}

/// A path with placeholders, such as `/users/{id}`; a placeholder stands for one whole segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
}

impl Template {
    /// Takes a template. `None` unless it begins with `/`, has at most 256 bytes, and braces only
    /// around whole segments.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?');
        if text.len() > foresail_wire::MAX_TEXT_BYTES || !printable {
            return None;
        }
        let valid = |segment: &str| match placeholder(segment) {
            Some(name) => !name.is_empty() && !name.contains(['{', '}']),
            None => !segment.contains(['{', '}']),
        };
        rest.split('/').all(valid).then(|| Self { text: text.to_owned() })
    }

    /// The template as given; it is the label.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path without query fits. A slash at its end makes no difference.
    pub fn fits(&self, path: &str) -> bool {
        let mut segments = without_last_slash(path).split('/');
        let mut wanted = without_last_slash(&self.text).split('/');
        loop {
            match (wanted.next(), segments.next()) {
                (None, None) => return true,
                (Some(wanted), Some(segment))
                    if wanted == segment
                        || (placeholder(wanted).is_some() && !segment.is_empty()) => {}
                _ => return false,
            }
        }
    }
}

fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn without_last_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// The label of a path, which may have a query.
pub fn label<'t>(templates: &'t [Template], path: &str) -> &'t str {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let path = path.get(..end).unwrap_or_default();
    templates.iter().find(|template| template.fits(path)).map_or(UNMATCHED, Template::as_str)
}

/// The service that an Envoy cluster stands for: Istio's `outbound|8080|subset|host` names the
/// host, any other name is the service's own.
pub fn service_of_cluster(cluster: &str) -> &str {
    match cluster.split('|').collect::<Vec<_>>().as_slice() {
        ["outbound" | "inbound", _, _, host] if !host.is_empty() => host,
        _ => cluster,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(texts: &[&str]) -> Vec<Template> {
        texts.iter().map(|text| Template::parse(text).unwrap()).collect()
    }

    #[test]
    fn the_first_template_that_fits_is_the_label() {
        let templates = templates(&["/users/me", "/users/{id}", "/orders/{id}/items", "/"]);
        for (path, expected) in [
            ("/users/me", "/users/me"),
            ("/users/17?tab=2", "/users/{id}"),
            ("/users/17/", "/users/{id}"),
            ("/users/", UNMATCHED),
            ("/users", UNMATCHED),
            ("/orders/3/items#x", "/orders/{id}/items"),
            ("/orders/3/items/4", UNMATCHED),
            ("/", "/"),
            ("", "/"),
            ("*", UNMATCHED),
        ] {
            assert_eq!(label(&templates, path), expected, "{path:?}");
        }
    }

    #[test]
    fn a_template_that_could_never_fit_is_refused() {
        for text in ["", "users", "/{}", "/a{b}", "/{a}{b}", "/{a", "/a}", "/a b", "/a?b", "/ä"] {
            assert_eq!(Template::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_cluster_of_istio_names_its_host() {
        for (cluster, service) in [
            ("outbound|8080||reviews.shop.svc.cluster.local", "reviews.shop.svc.cluster.local"),
            ("outbound|8080|v1|reviews", "reviews"),
            ("inbound|8080||", "inbound|8080||"),
            ("PassthroughCluster", "PassthroughCluster"),
            ("a|b", "a|b"),
        ] {
            assert_eq!(service_of_cluster(cluster), service);
        }
    }
}
