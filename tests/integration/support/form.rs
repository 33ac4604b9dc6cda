//! A form of a page, as a browser without scripts reads, fills in and sends it.

/// The fields of a form, in their order.
#[derive(Clone, Debug)]
pub struct Form {
    /// Where it is sent.
    pub action: String,
    fields: Vec<(String, String)>,
}

impl Form {
    /// The first form of a page whose start tag contains `mark`; with elements elsewhere that refer to it by ID.
    pub fn of(page: &str, mark: &str) -> Self {
        let (at, tag) =
            tags(page).find(|(_, tag)| tag.starts_with("<form ") && tag.contains(mark)).unwrap_or_else(|| {
                panic!("a form with {mark} in {page}");
            });
        let inside = &page[at..at + page[at..].find("</form>").expect("an end")];
        let mut fields = controls(inside);
        if let Some(id) = attribute(tag, "id") {
            let elsewhere = format!("form=\"{id}\"");
            let outside = tags(page).filter(|(_, tag)| tag.starts_with("<input ") && tag.contains(&elsewhere));
            fields.extend(outside.filter_map(|(_, tag)| input(tag)));
        }
        Self { action: attribute(tag, "action").expect("an action"), fields }
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Fills in a field that is there, or presses a button.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let value = value.replace('\n', "\r\n");
        match self.fields.iter_mut().find(|(found, _)| found == name) {
            Some((_, held)) => *held = value,
            None if matches!(name, "do" | "kind") || name.starts_with('c') => {
                self.fields.push((name.to_owned(), value));
            }
            None => panic!("no field {name} in {:?}", self.fields),
        }
        self
    }

    /// Its fields, to be sent.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn tags(page: &str) -> impl Iterator<Item = (usize, &str)> {
    page.match_indices('<').filter_map(|(at, _)| Some((at, &page[at..=at + page[at..].find('>')?])))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(plain(rest.split('"').next()?))
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn controls(form: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for (at, tag) in tags(form) {
        let name = || attribute(tag, "name");
        if tag.starts_with("<input ") && !tag.contains(" form=\"") {
            fields.extend(input(tag));
        } else if tag.starts_with("<textarea ") {
            let (_, rest) = form[at..].split_once('>').expect("an end");
            let text = rest.split("</textarea>").next().expect("an end");
            // Browsers leave out the first line end, and send others as two characters.
            let text = plain(text.strip_prefix('\n').unwrap_or(text)).replace("\r\n", "\n").replace('\r', "\n");
            fields.extend(name().map(|name| (name, text.replace('\n', "\r\n"))));
        } else if tag.starts_with("<select ") {
            let options = form[at..].split("</select>").next().expect("an end");
            let all: Vec<(usize, &str)> = tags(options).filter(|(_, tag)| tag.starts_with("<option")).collect();
            let chosen = all.iter().find(|(_, tag)| tag.contains(" selected")).or(all.first());
            let value = chosen.and_then(|(_, tag)| attribute(tag, "value")).unwrap_or_default();
            fields.extend(name().map(|name| (name, value)));
        }
    }
    fields
}

fn input(tag: &str) -> Option<(String, String)> {
    let kind = attribute(tag, "type").unwrap_or_default();
    let off = matches!(kind.as_str(), "checkbox" | "radio") && !tag.contains(" checked");
    if off || tag.contains(" disabled") || kind == "submit" {
        return None;
    }
    Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
}
