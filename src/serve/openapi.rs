//! What the interface takes and gives, as OpenAPI 3.1 has it; schemas are those of the types that are read and written.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::answer::json_of;
use super::api::{EmbedBody, Health, SearchBody, Stats};
use super::find::{Embedded, LANGUAGES, LONGEST, MOST, Searched, Similar, SimilarTo};

/// An error's `{"error": "…"}`.
#[derive(JsonSchema)]
#[allow(dead_code)]
struct Error {
    /// What is wrong, for people
    error: String,
}

pub async fn openapi(State(state): State<Arc<super::State>>) -> Response {
    json_of(&document(&state.languages))
}

/// The description, for a model of some languages.
pub fn document(languages: &[String]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
    let schemas = &mut settings.into_generator();
    let code = json!({"type": "string", "enum": languages});
    let codes = json!({"type": "array", "items": code, "minItems": 1, "maxItems": LANGUAGES});
    let language = json!({
        "name": "language", "in": "query", "required": languages.len() > 1, "style": "form", "explode": false, "schema": codes,
        "description": "Code of the language of `q`; several with commas between, in the order of the `q`s",
    });
    let k = json!({
        "name": "k", "in": "query", "description": "How many pictures",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": 10},
    });
    let q = json!({
        "name": "q", "in": "query", "required": true, "example": "ein Hund im Schnee", "explode": true,
        "schema": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": LONGEST}},
        "description": "What the picture shows: once, or once in each language",
    });
    let id = json!({
        "name": "id", "in": "query", "required": true, "schema": {"type": "string"}, "description": "Id of a picture of the index",
    });
    let name = json!({
        "name": "name", "in": "path", "required": true, "schema": {"type": "string"}, "description": "What a picture that was sent is called",
    });
    let text = |name: &str, schema: Value, what: &str| json!({"name": name, "in": "query", "schema": schema, "description": what});
    let day = json!({"type": "string", "format": "date", "example": "2024-05-31"});
    let folder =
        text("folder", json!({"type": "string"}), "Only photographs of this folder, and those within");
    let from = text("from", day.clone(), "Only photographs of this day or later");
    let to = text("to", day, "Only photographs of this day or earlier");
    let searched = answer::<Searched>(schemas, "The pictures, the best first");
    let paths = json!({
        "/": {"get": get("The page", json!([]), other("The page", "text/html"), &[400, 503])},
        "/picture": {"post": {
            "summary": "A picture that is sent from the page's form: leads to the page with pictures like it",
            "requestBody": {"required": true, "content": {"multipart/form-data": {"schema": {"type": "object", "properties": {"picture": {"type": "string", "format": "binary"}}}}}},
            "responses": {"303": {"description": "The page's address"}, "400": {"description": "The request is wrong"}},
        }},
        "/sent/{name}": {"get": get("The thumbnail of a picture that was sent", json!([name]), other("The thumbnail", "image/jpeg"), &[404])},
        "/thumbnails": {"get": get("The thumbnail of a photograph", json!([id]), other("The thumbnail", "image/jpeg"), &[400, 404])},
        "/style.css": {"get": get("The page's style", json!([]), other("The style", "text/css"), &[])},
        "/icon.svg": {"get": get("The page's icon", json!([]), other("The icon", "image/svg+xml"), &[])},
        "/pictures": {"get": get("The file of a picture", json!([id]), other("The file", "image/*"), &[400, 404])},
        "/api/search": {
            "get": get("Pictures that fit a sentence", json!([q, language, k, folder, from, to]), searched.clone(), &[400, 503]),
            "post": post("Pictures that fit a sentence", body::<SearchBody>(schemas), searched),
        },
        "/api/similar": {
            "get": get("Pictures like a picture", json!([id, k, folder, from, to]), answer::<Similar>(schemas, "Others, the nearest first"), &[400, 404, 503]),
            "post": sent("Pictures like a picture that is sent", json!([k, folder, from, to]), answer::<SimilarTo>(schemas, "The nearest first")),
        },
        "/api/embed": {
            "post": post("Sentences as vectors", body::<EmbedBody>(schemas), answer::<Embedded>(schemas, "A vector for each")),
        },
        "/api/stats": {"get": get("What the server has", json!([]), answer::<Stats>(schemas, "Pictures and languages"), &[])},
        "/api/openapi.json": {"get": get("This description", json!([]), other("OpenAPI 3.1", "application/json"), &[])},
        "/healthz": {"get": get("Whether the server answers; needs no token", json!([]), answer::<Health>(schemas, "It does"), &[])},
        "/metrics": {"get": get("Counts and times of requests", json!([]), other("Prometheus' text format", "text/plain"), &[])},
    });
    let _ = schemas.subschema_for::<Error>();
    let mut definitions = schemas.take_definitions(true);
    for (body, language) in [("SearchBody", json!({"anyOf": [code, codes]})), ("EmbedBody", code.clone())] {
        let schema = &mut definitions[body];
        schema["properties"]["language"] = language;
        if let (Some(required), 2..) = (schema["required"].as_array_mut(), languages.len()) {
            required.push(json!("language"));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "tinyglot", "version": env!("CARGO_PKG_VERSION"), "description": "Pictures found by sentences of many languages."},
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    })
}

fn get(summary: &str, parameters: Value, answer: Value, refusals: &[u16]) -> Value {
    json!({"summary": summary, "parameters": parameters, "responses": responses(answer, refusals)})
}

fn post(summary: &str, body: Value, answer: Value) -> Value {
    let responses = responses(answer, &[400, 408, 413, 415, 503]);
    json!({"summary": summary, "requestBody": body, "responses": responses})
}

fn sent(summary: &str, parameters: Value, answer: Value) -> Value {
    let body = json!({"required": true, "content": {"image/*": {}, "application/octet-stream": {}}});
    let responses = responses(answer, &[400, 404, 408, 413, 415, 503]);
    json!({"summary": summary, "parameters": parameters, "requestBody": body, "responses": responses})
}

fn responses(answer: Value, refusals: &[u16]) -> Value {
    let mut all = Map::from_iter([("200".to_string(), answer)]);
    for status in [refusals, &[401, 403, 500]].concat() {
        let what = match status {
            400 => "The request is wrong",
            401 => "The token is missing or wrong",
            403 => "Without a token, the server answers to this machine's own names alone",
            404 => "No such picture, or nothing to see pictures with",
            408 => "The body did not come in time",
            413 => "The body is too large",
            415 => "The body is of another kind",
            503 => "Too much is asked at a time",
            _ => "The server failed",
        };
        let schema = json!({"$ref": "#/components/schemas/Error"});
        all.insert(
            status.to_string(),
            json!({"description": what, "content": {"application/json": {"schema": schema}}}),
        );
    }
    Value::Object(all)
}

fn answer<T: JsonSchema>(schemas: &mut SchemaGenerator, what: &str) -> Value {
    let schema = schemas.subschema_for::<T>();
    json!({"description": what, "content": {"application/json": {"schema": schema}}})
}

fn body<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    json!({"required": true, "content": {"application/json": {"schema": schemas.subschema_for::<T>()}}})
}

fn other(what: &str, media_type: &str) -> Value {
    json!({"description": what, "content": {media_type: {}}})
}

#[cfg(test)]
mod tests {
    use super::super::find::TEXTS;
    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let document = document(&["en".into(), "de".into()]);
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 10, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("a place in the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["EmbedBody"]["properties"]["language"]["enum"], json!(["en", "de"]));
        assert_eq!(schemas["EmbedBody"]["required"], json!(["texts", "language"]));
        assert_eq!(schemas["EmbedBody"]["properties"]["texts"]["maxItems"], TEXTS);
        assert_eq!(schemas["EmbedBody"]["properties"]["texts"]["items"]["maxLength"], LONGEST);
        assert_eq!(schemas["SearchBody"]["properties"]["k"]["maximum"], MOST);
    }
}
