//! The page for people, made from the document and from the table of codes.

use std::fmt::Write;

use quorate_protocol::api::Code;
use quorate_protocol::api::code::{Asked, Stage};
use serde_json::Value;

/// In which order a request is judged; tests of the API hold it.
const PRECEDENCE: &str = "\
When several codes would be true, the first one is reported. A request is judged in this order:

1. `unauthorized`: the node has a token, and the request does not show it.
2. `client_quota`, `overloaded`: as many requests as one client may have, or as the node takes, are in work. A submission is judged so
   when its body is there, after step 5.
3. `not_found`, `method_not_allowed`: the path.
4. `bad_request`: the parameters of the query.
5. `too_large`: the body is longer than 1 MiB.
6. `halted`: a submission to a node that has stopped signing.
7. `unsupported_media_type`, then `malformed`: the body.
8. `client_quota`, `overloaded`: as many transactions as one client may have, or as the node takes, are waited for or wait to be
   verified.
9. What a door says of the transaction, in the order of the table: its form, its signature, its sender, its time, room.
10. What execution says, in the order of the table: it is in the receipt of a transaction that has failed. The operations
    of a transaction are judged one after the other; the first that fails gives the code.
";

/// The page.
pub(super) fn page(document: &Value) -> String {
    let mut page = String::new();
    head(&mut page, document);
    paths(&mut page, document);
    types(&mut page, document);
    codes(&mut page);
    page
}

// Writing to a string does not fail.
macro_rules! say {
    ($page:expr) => { let _ = writeln!($page); };
    ($page:expr, $($words:tt)*) => { let _ = writeln!($page, $($words)*); };
}

fn head(page: &mut String, document: &Value) {
    say!(page, "# The HTTP API of a node\n");
    say!(
        page,
        "<!-- Made by a test from node/src/http/openapi. Do not edit: change that, then run the node's tests with"
    );
    say!(page, "QUORATE_BLESS=1. -->\n");
    say!(page, "{}\n", words(&document["info"]["description"]));
    say!(page, "The same for programs: [openapi.json](openapi.json), or `GET /v1/openapi.json` of a node.\n");
    say!(
        page,
        "- A node listens on the loopback unless `api` in `node.toml` says otherwise. Beyond this machine it asks for a"
    );
    say!(page, "  token (`api_token_file`, at least 32 characters, mode 600), or wants to be told that it needs none");
    say!(page, "  (`api_public = true`).");
    say!(page, "- With a token every request but those for `/livez`, `/readyz` and `/version` carries");
    say!(page, "  `Authorization: Bearer TOKEN`.");
    say!(
        page,
        "- `[api_tls]` with `cert_file` and `key_file` (PEM; relative paths are below the home) serves all of it by TLS.\n"
    );
}

fn paths(page: &mut String, document: &Value) {
    say!(page, "## Paths\n");
    let operations = super::paths::operations();
    say!(page, "| | |\n|---|---|");
    for operation in &operations {
        let (method, path) = (operation.method.to_uppercase(), operation.path);
        let described = &document["paths"][path][operation.method];
        let anchor = anchor(&format!("{method} {path}"));
        say!(page, "| [`{method} {path}`](#{anchor}) | {} |", words(&described["summary"]));
    }
    say!(page);
    for operation in &operations {
        let (method, path) = (operation.method.to_uppercase(), operation.path);
        say!(page, "### `{method} {path}`\n");
        path_details(page, &document["paths"][path][operation.method]);
    }
}

/// What a heading is called by those who link to it.
fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter(|sign| sign.is_ascii_alphanumeric() || matches!(sign, ' ' | '-' | '_'));
    kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect()
}

fn path_details(page: &mut String, operation: &Value) {
    say!(page, "{}.\n", words(&operation["summary"]));
    if let Some(description) = operation["description"].as_str() {
        say!(page, "{description}\n");
    }
    if let Some(parameters) = operation["parameters"].as_array() {
        say!(page, "| parameter | in | |\n|---|---|---|");
        for parameter in parameters {
            let default = &parameter["schema"]["default"];
            let default = if default.is_null() { String::new() } else { format!(" (default {})", words(default)) };
            let place = words(&parameter["in"]);
            say!(page, "| `{}` | {place} | {}{default} |", words(&parameter["name"]), words(&parameter["description"]));
        }
        say!(page);
    }
    if let Some(body) = operation["requestBody"]["content"].as_object() {
        for (media_type, content) in body {
            say!(page, "Body `{media_type}`: {}\n", of_content(content));
        }
    }
    say!(page, "| status | |\n|---|---|");
    let answers = operation["responses"].as_object();
    for (status, answer) in answers.into_iter().flatten() {
        say!(page, "| {status} | {}{} |", words(&answer["description"]), of_answer(answer));
    }
    say!(page);
    let example = answers.into_iter().flatten().find_map(|(_, answer)| first(&answer["content"])?.1.get("example"));
    if let Some(example) = example {
        say!(page, "```json\n{}\n```\n", serde_json::to_string_pretty(example).unwrap_or_default());
    }
}

fn first(content: &Value) -> Option<(&String, &Value)> {
    content.as_object()?.iter().next()
}

fn of_answer(answer: &Value) -> String {
    match first(&answer["content"]) {
        // Every error is the same document; it is not named again.
        Some((media_type, content)) if media_type != "application/problem+json" => {
            format!("; `{media_type}`: {}", of_content(content))
        }
        _ => String::new(),
    }
}

fn of_content(content: &Value) -> String {
    match content["schema"]["$ref"].as_str() {
        Some(_) => type_words(&content["schema"]),
        None => content["schema"]["description"].as_str().unwrap_or("text").to_owned(),
    }
}

fn types(page: &mut String, document: &Value) {
    say!(page, "## Types\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        if name == "Code" {
            continue;
        }
        say!(page, "### {name}\n\n{}.\n", words(&schema["description"]));
        if let Some(either) = schema["oneOf"].as_array() {
            let either: Vec<String> = either.iter().map(type_words).collect();
            say!(page, "One of {}.\n", either.join(", "));
        }
        let Some(properties) = schema["properties"].as_object() else { continue };
        say!(page, "| field | type | |\n|---|---|---|");
        for (field, property) in properties {
            let always =
                schema["required"].as_array().is_some_and(|required| required.contains(&Value::from(field.as_str())));
            let absent = if always { "" } else { " (may be absent)" };
            say!(page, "| `{field}` | {} | {}{absent} |", type_words(property), words(&property["description"]));
        }
        say!(page);
    }
}

/// A schema in a few words.
fn type_words(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let target = if name == "Code" { "codes".to_owned() } else { anchor(name) };
        return format!("[{name}](#{target})");
    }
    if let Some(either) = schema["oneOf"].as_array() {
        return either.iter().map(type_words).collect::<Vec<_>>().join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(|value| format!("`{}`", words(value))).collect::<Vec<_>>().join(", ");
    }
    match (schema["type"].as_str(), schema["pattern"].as_str()) {
        (Some("array"), _) if schema["items"]["prefixItems"].is_array() => "list of pairs".to_owned(),
        (Some("array"), _) => format!("list of {}", type_words(&schema["items"])),
        (Some("string"), Some(_)) => "hex".to_owned(),
        (Some("object"), _) => match &schema["properties"]["status"] {
            Value::Null => "object".to_owned(),
            status if schema["properties"]["code"].is_null() => format!("`status` {}", type_words(status)),
            status => {
                format!("`status` {} with `code` {}", type_words(status), type_words(&schema["properties"]["code"]))
            }
        },
        (Some("null"), _) => "`null`".to_owned(),
        (Some(name), _) => name.to_owned(),
        (None, _) => "anything".to_owned(),
    }
}

fn codes(page: &mut String) {
    say!(page, "## Codes\n");
    say!(
        page,
        "Every error is a [Problem](#problem) with one of these codes; a transaction that failed has its code in the"
    );
    say!(page, "receipt, and of many each refused one has it in its outcome. 429 and 503 carry `Retry-After`.\n");
    say!(page, "What the command `quorate` ends with when the code is the last word:\n");
    say!(page, "- `read`: of a command that only reads. A code that is no answer to a read is 1, a fault of the node.");
    say!(
        page,
        "- `sent`: of a command that has sent a transaction. 4 takes the word of f + 1 validators, or the receipt; less is 5,"
    );
    say!(
        page,
        "  sent and the outcome unknown. So is every refusal that depends on the state or on a clock: whoever has the bytes may"
    );
    say!(
        page,
        "  keep them. `unknown_sender` is 4 where f + 1 validators say so before anything is sent, `expired` where they say so"
    );
    say!(page, "  as of a certified time.\n");
    say!(page, "{PRECEDENCE}");
    for (stage, title) in [
        (Stage::Door, "What a door says"),
        (Stage::Execution, "What execution says, in a receipt"),
        (Stage::Service, "What the service says"),
    ] {
        say!(page, "### {title}\n");
        say!(page, "| code | HTTP | read | sent | retryable | outcome | hint |\n|---|---|---|---|---|---|---|");
        for code in Code::ALL.iter().filter(|code| code.stage() == stage) {
            let retryable = if code.retryable() { "yes" } else { "no" };
            let (status, outcome, hint) = (code.http_status(), code.outcome(), code.hint());
            let (read, sent) = (code.exit_code(Asked::Read), code.exit_code(Asked::Submission));
            say!(page, "| `{code}` | {status} | {read} | {sent} | {retryable} | {outcome} | {hint} |");
        }
        say!(page);
    }
    // One newline at the end, as every file has.
    let end = page.trim_end().len();
    page.truncate(end);
    page.push('\n');
}

/// A value as a reader writes it.
fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}
