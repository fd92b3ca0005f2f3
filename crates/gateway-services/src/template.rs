//! Path templates of routes: literal segments, `{name}`, and one last `{name*}`.

/// A template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Literal(String),
    One(String),
    Rest(String),
}

impl Template {
    /// `None` when it is no template.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('/')?;
        if rest.is_empty() {
            return Some(Self { parts: Vec::new() });
        }
        let parts: Vec<Part> = rest.split('/').map(part).collect::<Option<_>>()?;
        let last = parts.len().saturating_sub(1);
        let rest_is_last =
            parts.iter().enumerate().all(|(index, part)| index == last || !matches!(part, Part::Rest(_)));
        let mut names: Vec<&str> = parts.iter().filter_map(Part::name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        (rest_is_last && names.len() == count).then_some(Self { parts })
    }

    /// The parameters, when the segments are of this template. `{name*}` takes one segment or more.
    pub(crate) fn matches(&self, segments: &[String]) -> Option<Vec<(String, String)>> {
        let mut parameters = Vec::new();
        let mut left = segments.iter();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => (left.next()? == literal).then_some(())?,
                Part::One(name) => parameters.push((name.clone(), left.next()?.clone())),
                Part::Rest(name) => {
                    let all: Vec<&str> = left.by_ref().map(String::as_str).collect();
                    (!all.is_empty()).then_some(())?;
                    parameters.push((name.clone(), all.join("/")));
                }
            }
        }
        left.next().is_none().then_some(parameters)
    }

    /// Orders templates so that the most literal one comes first.
    pub(crate) fn rank(&self) -> Vec<u8> {
        let mut rank: Vec<u8> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(_) => 0,
                Part::One(_) => 1,
                Part::Rest(_) => 3,
            })
            .collect();
        // A template that ends here comes before one that takes any rest.
        rank.push(2);
        rank
    }
}

impl Part {
    fn name(&self) -> Option<&str> {
        match self {
            Part::Literal(_) => None,
            Part::One(name) | Part::Rest(name) => Some(name),
        }
    }
}

fn part(text: &str) -> Option<Part> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if let Some(inside) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        return match inside.strip_suffix('*') {
            Some(name) if is_name(name) => Some(Part::Rest(name.to_owned())),
            Some(_) => None,
            None => is_name(inside).then(|| Part::One(inside.to_owned())),
        };
    }
    let is_literal = !text.is_empty()
        && !matches!(text, "." | "..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:@!$&'()+,=".contains(&byte));
    is_literal.then(|| Part::Literal(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, path: &str, expected: Option<&[(&str, &str)]>) {
        let template = Template::parse(template).unwrap();
        let segments: Vec<String> =
            path.split('/').filter(|text| !text.is_empty()).map(str::to_owned).collect();
        let expected = expected.map(|pairs| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        });
        assert_eq!(template.matches(&segments), expected, "{path}");
    }

    #[test]
    fn templates_match_whole_paths() {
        check("/", "/", Some(&[]));
        check("/orders/{id}", "/orders/7", Some(&[("id", "7")]));
        check("/orders/{id}", "/orders", None);
        check("/orders/{id}", "/orders/7/items", None);
        check("/files/{path*}", "/files/a/b", Some(&[("path", "a/b")]));
        check("/files/{path*}", "/files", None);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["", "a", "/a//b", "/{}", "/{a*}/b", "/{a}/{a}", "/..", "/{A}", "/a b", "/a%20b", "/{a"] {
            assert_eq!(Template::parse(text), None, "{text}");
        }
    }
}
