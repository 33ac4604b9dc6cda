//! Holds every answer that a test receives against the OpenAPI document that the code generates.
//!
//! It checks the document more strictly than clients do: an answer must have no undocumented field, header, enum value
//! or error code. Clients ignore those, so that newer nodes can add them; here they are gaps.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::answer::Answer;

/// Paths that answer and are in no document: pages are for people.
const PAGES: &str = "/ui";
/// Headers that any answer can have: those of HTTP itself, and security headers.
const GENERAL: [&str; 14] = [
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "referrer-policy",
    "strict-transport-security",
    "transfer-encoding",
    "vary",
    "x-content-type-options",
];
/// Rejections before routing, which the document describes in its introduction: such an answer has no request ID.
const NO_REQUEST: [u16; 5] = [400, 408, 414, 431, 503];
/// What the document is called where it refers to itself.
const HERE: &str = "https://bookholder.test/openapi.json";

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::of(bookholder::http::openapi::document()));

/// Fails the test unless the document allows this answer to this request.
pub fn check(request: &[u8], answer: &Answer) {
    if let Some(fault) = fault(request, answer) {
        let request: String = String::from_utf8_lossy(request).chars().take(2_000).collect();
        let body: String = answer.text().chars().take(4_000).collect();
        panic!("not in the OpenAPI document: {fault}\n{request}\n{}{body}", answer.head);
    }
}

/// Undocumented parts of an answer.
pub fn fault(request: &[u8], answer: &Answer) -> Option<String> {
    CONTRACT.check(&Request::read(request), answer).err()
}

/// The name of the operation that a request asks for.
pub fn operation(method: &str, path: &str) -> Option<&'static str> {
    let request = Request { method: method.to_owned(), path: path.to_owned(), token: true };
    CONTRACT.operation(&request).map(|operation| operation.id.as_str())
}

/// Whether an operation works without an access token, on the machine of the node.
pub fn is_open(id: &str) -> bool {
    CONTRACT.operations.iter().any(|operation| operation.id == id && operation.open)
}

/// Fails the test unless the document allows this event in a stream.
pub fn check_event(data: &Value) {
    if let Err(fault) = CONTRACT.valid(CONTRACT.event, data) {
        panic!("not in the OpenAPI document: {fault}\n{data}");
    }
}

/// The names of all operations.
pub fn operations() -> impl Iterator<Item = &'static str> {
    CONTRACT.operations.iter().map(|operation| operation.id.as_str())
}

/// The document, ready to be asked.
struct Contract {
    operations: Vec<Operation>,
    problem: SchemaIndex,
    event: SchemaIndex,
    schemas: Schemas,
}

struct Operation {
    id: String,
    method: String,
    template: Vec<String>,
    /// Whether it works without an access token.
    open: bool,
    responses: BTreeMap<u16, Response>,
}

struct Response {
    description: String,
    bodies: BTreeMap<String, SchemaIndex>,
    headers: BTreeMap<String, Header>,
}

struct Header {
    required: bool,
    schema: SchemaIndex,
    is_text: bool,
}

/// What was asked for.
struct Request {
    method: String,
    path: String,
    token: bool,
}

impl Request {
    /// An invalid request has no path.
    fn read(bytes: &[u8]) -> Self {
        let head = String::from_utf8_lossy(bytes);
        let mut lines = head.lines().take_while(|line| !line.is_empty());
        let first: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let (method, target) = match first[..] {
            [method, target, "HTTP/1.1" | "HTTP/1.0"] => (method.to_owned(), target),
            _ => (String::new(), ""),
        };
        // A proxy is asked with the whole address.
        let target = target.strip_prefix("http://").map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
        let path = target.split(['?', '#']).next().unwrap_or_default().to_owned();
        Self { method, path, token: lines.any(|line| line.to_ascii_lowercase().starts_with("authorization:")) }
    }
}

impl Contract {
    fn of(mut document: Value) -> Self {
        close(&mut document);
        let mut reader = Reader { compiler: Compiler::new(), schemas: Schemas::new(), document: &document };
        reader.compiler.enable_format_assertions();
        reader.compiler.add_resource(HERE, document.clone()).expect("an address");
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                operations.push(reader.operation(path, method, operation));
            }
        }
        let problem = reader.schema("/components/schemas/Problem");
        let events = "/paths/~1v1~1events/get/responses/200/content/text~1event-stream/x-event-data";
        let event = reader.schema(events);
        Self { operations, problem, event, schemas: reader.schemas }
    }

    /// The operation of a request. Names of prompts and references can have slashes; if a path is ambiguous, the
    /// shortest name wins, which leaves most segments to the template.
    fn operation(&self, request: &Request) -> Option<&Operation> {
        let method = if request.method == "HEAD" { "GET" } else { request.method.as_str() };
        // Exporters of OpenTelemetry are often given a base that ends in this.
        let prefixes = ["/otlp", "/api/public/otel"];
        let inside = prefixes.iter().find_map(|prefix| request.path.strip_prefix(prefix));
        let path = inside.unwrap_or(&request.path);
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let fitting = self.operations.iter().filter(|operation| fits(&operation.template, &segments));
        let rank = |operation: &&Operation| {
            let words = operation.template.iter().filter(|segment| !segment.starts_with('{')).count();
            (operation.template.len(), words)
        };
        let most = fitting.clone().map(|operation| rank(&operation)).max()?;
        fitting.filter(|operation| rank(operation) == most).find(|operation| operation.method == method)
    }

    fn check(&self, request: &Request, answer: &Answer) -> Result<(), String> {
        if request.path == PAGES || request.path.starts_with("/ui/") {
            return Ok(());
        }
        let is_request = answer.header("bookholder-request").is_some() || !NO_REQUEST.contains(&answer.status);
        let Some(operation) = self.operation(request).filter(|_| is_request) else { return self.check_refusal(answer) };
        let (id, status) = (&operation.id, answer.status);
        let known = || operation.responses.keys().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let response =
            operation.responses.get(&status).ok_or_else(|| format!("{id} answers {status}, not one of {}", known()))?;
        if (200..300).contains(&status) && !request.token && !operation.open {
            return Err(format!("{id} is done without an access token"));
        }
        self.check_headers(response, answer)?;
        if request.method == "HEAD" || answer.header("content-encoding").is_some() {
            return Ok(());
        }
        self.check_body(response, answer)
    }

    /// What is asked for in vain, before there is an operation, is answered with a problem.
    fn check_refusal(&self, answer: &Answer) -> Result<(), String> {
        match (answer.status, answer.header("content-type")) {
            (400.., Some("application/problem+json")) => self.valid(self.problem, &answer.json()),
            _ => Err("there is no such operation, and it is no problem".to_owned()),
        }
    }

    fn check_headers(&self, response: &Response, answer: &Answer) -> Result<(), String> {
        for line in answer.head.lines().skip(1).filter(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            if !GENERAL.contains(&name.as_str()) && !response.headers.contains_key(&name) {
                return Err(format!("the header {line}"));
            }
        }
        for (name, header) in &response.headers {
            let Some(value) = answer.header(name) else {
                if header.required {
                    return Err(format!("the header {name} is missing"));
                }
                continue;
            };
            let value = if header.is_text { value.into() } else { serde_json::from_str(value).unwrap_or(Value::Null) };
            self.valid(header.schema, &value).map_err(|fault| format!("the header {name}: {fault}"))?;
        }
        Ok(())
    }

    fn check_body(&self, response: &Response, answer: &Answer) -> Result<(), String> {
        let Some(kind) = answer.header("content-type") else {
            let nothing = answer.body.is_empty() && response.bodies.is_empty();
            return if nothing { Ok(()) } else { Err("no content type".to_owned()) };
        };
        let kind = kind.split(';').next().unwrap_or_default();
        let schema = *response.bodies.get(kind).ok_or_else(|| format!("the content type {kind}"))?;
        if !kind.ends_with("json") {
            let text = !kind.starts_with("text/") || std::str::from_utf8(&answer.body).is_ok();
            return if text { Ok(()) } else { Err("the body is not valid UTF-8".to_owned()) };
        }
        let body = answer.json();
        self.valid(schema, &body)?;
        match body["code"].as_str() {
            Some(code) if kind.contains("problem") && !response.description.contains(&format!("`{code}`")) => {
                Err(format!("the code {code} under {}", answer.status))
            }
            _ => Ok(()),
        }
    }

    fn valid(&self, schema: SchemaIndex, value: &Value) -> Result<(), String> {
        self.schemas.validate(value, schema).map_err(|error| format!("{error:#}"))
    }
}

/// Whether a path fits a template: names of prompts and references take one segment or more, everything else takes one.
fn fits(template: &[String], path: &[&str]) -> bool {
    let Some(first) = template.first() else { return path.is_empty() };
    match first.as_str() {
        // A path of no segments is one empty segment.
        "" => path == [""],
        "{reference}" => !path.is_empty() && path != [""],
        "{name}" => (1..=path.len()).any(|end| !path[..end].contains(&"") && fits(&template[1..], &path[end..])),
        word => {
            let same = |segment: &&str| if word.starts_with('{') { !segment.is_empty() } else { **segment == *word };
            path.first().is_some_and(same) && fits(&template[1..], &path[1..])
        }
    }
}

/// Makes what the document leaves open for newer nodes an error of this one.
fn close(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(words) = object.remove("x-extensible-enum") {
                object.insert("enum".to_owned(), words);
            }
            if object.get("properties").is_some_and(Value::is_object) {
                object.entry("additionalProperties").or_insert(false.into());
            }
            // Values are not schemas, and a condition names only its own fields.
            let open = ["example", "examples", "default", "if", "then", "else", "not"];
            let inner = object.iter_mut().filter(|(name, _)| !open.contains(&name.as_str()));
            inner.for_each(|(_, value)| close(value));
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

/// Compiles the schemas of answers.
struct Reader<'a> {
    compiler: Compiler,
    schemas: Schemas,
    document: &'a Value,
}

impl Reader<'_> {
    fn operation(&mut self, path: &str, method: &str, operation: &Value) -> Operation {
        let pointer = format!("/paths/{}/{method}/responses", token(path));
        let statuses = operation["responses"].as_object().expect("responses").keys();
        let responses = statuses.map(|status| {
            let response = self.response(format!("{pointer}/{status}"));
            (status.parse().expect("a status"), response)
        });
        let responses = responses.collect();
        let ways = if operation["security"].is_null() { &self.document["security"] } else { &operation["security"] };
        Operation {
            id: operation["operationId"].as_str().expect("a name").to_owned(),
            method: method.to_uppercase(),
            template: path.split('/').skip(1).map(str::to_owned).collect(),
            open: ways.as_array().is_some_and(|ways| ways.contains(&json!({}))),
            responses,
        }
    }

    fn response(&mut self, pointer: String) -> Response {
        let (pointer, response) = self.follow(pointer);
        let names = |field: &str| {
            let fields = response[field].as_object().into_iter().flatten();
            fields.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let bodies = names("content").into_iter().map(|media| {
            let schema = self.schema(&format!("{pointer}/content/{}/schema", token(&media)));
            (media, schema)
        });
        let bodies = bodies.collect();
        let headers = names("headers").into_iter().map(|name| {
            let (pointer, header) = self.follow(format!("{pointer}/headers/{name}"));
            let schema = self.schema(&format!("{pointer}/schema"));
            let is_text = !matches!(header["schema"]["type"].as_str(), Some("integer" | "number" | "boolean"));
            (name.to_ascii_lowercase(), Header { required: header["required"] == true, schema, is_text })
        });
        let headers = headers.collect();
        Response { description: response["description"].as_str().unwrap_or_default().to_owned(), bodies, headers }
    }

    /// Where a reference leads, and what is there.
    fn follow(&self, pointer: String) -> (String, Value) {
        let value = self.document.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} leads nowhere"));
        match value["$ref"].as_str() {
            Some(target) => self.follow(target.strip_prefix('#').expect("a local reference").to_owned()),
            None => (pointer, value.clone()),
        }
    }

    fn schema(&mut self, pointer: &str) -> SchemaIndex {
        let fragment: String = pointer
            .split('/')
            .skip(1)
            .map(|token| format!("/{}", utf8_percent_encode(token, NON_ALPHANUMERIC)))
            .collect();
        let compiled = self.compiler.compile(&format!("{HERE}#{fragment}"), &mut self.schemas);
        compiled.unwrap_or_else(|error| panic!("{pointer} is no schema: {error:#}"))
    }
}

/// A name as one token of a JSON pointer.
fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
