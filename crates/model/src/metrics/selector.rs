//! A metric's name with attributes, as queries of OTLP and CloudWatch have it: `name{a="b",c!="d"}`.

/// A name and what attributes have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The metric.
    pub name: String,
    /// Attributes, whether they have to be (or must not be) the text, and the text; `*` at its end
    /// stands for any end.
    pub attributes: Vec<(String, bool, String)>,
}

impl Selector {
    /// Understands `name`, `name{a="b"}`, `name{a=b,c!="d*"}`.
    ///
    /// # Errors
    /// What is wrong with it, one clause.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, inside) = match text.split_once('{') {
            None => (text, ""),
            Some((name, rest)) => (name, rest.strip_suffix('}').ok_or("a `}` is missing at its end")?),
        };
        let name = name.trim();
        let fits = |c: char| c.is_alphanumeric() || "._-/".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return Err(format!("`{name}` is not the name of a metric"));
        }
        let mut attributes = Vec::new();
        for part in parts(inside) {
            let (key, rest) = part.split_once('=').ok_or_else(|| format!("`{part}` has no `=`"))?;
            let (key, is) = key.strip_suffix('!').map_or((key, true), |key| (key, false));
            let (key, value) = (key.trim(), rest.trim());
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            if key.is_empty() || bare.contains('"') {
                return Err(format!("`{part}` is not attribute=\"text\""));
            }
            attributes.push((key.to_owned(), is, bare.to_owned()));
        }
        Ok(Self { name: name.to_owned(), attributes })
    }

    /// Whether attributes, looked up by name, are as they have to be. One that is missing is empty.
    pub fn fits<'t>(&self, of: impl Fn(&str) -> Option<&'t str>) -> bool {
        self.attributes.iter().all(|(key, is, wanted)| {
            let value = of(key).unwrap_or_default();
            let same = match wanted.strip_suffix('*') {
                Some(begin) => value.starts_with(begin),
                None => value == wanted,
            };
            same == *is
        })
    }
}

/// Parts between commas that are not within quotes.
fn parts(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let split = text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    split.map(str::trim).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_and_fit() {
        let selector = Selector::read("http.server{status=\"5*\", route!=\"/a,b\"}").expect("a selector");
        assert_eq!(selector.name, "http.server");
        let fits = |status: &'static str, route: &'static str| {
            selector.fits(|key| Some(if key == "status" { status } else { route }))
        };
        assert!(fits("503", "/c"));
        assert!(!fits("200", "/c") && !fits("500", "/a,b"));
        assert!(Selector::read("plain").expect("a name").fits(|_| None));
        for (text, why) in
            [("a{b}", "no `=`"), ("a{b=c", "missing"), ("{a=b}", "not the name"), ("a b", "not the name")]
        {
            assert!(Selector::read(text).expect_err(text).contains(why), "{text}");
        }
    }
}
