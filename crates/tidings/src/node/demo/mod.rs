//! The demo page's files: no build step, so what is embedded is what is in this folder.

/// The page's files by path, each with its type and its text; for a node under `--dev`.
pub const FILES: [(&str, &str, &str); 6] = [
    ("/", "text/html; charset=utf-8", include_str!("index.html")),
    ("/demo/demo.css", "text/css; charset=utf-8", include_str!("demo.css")),
    ("/demo/demo.js", JAVASCRIPT, include_str!("demo.js")),
    ("/demo/column.js", JAVASCRIPT, include_str!("column.js")),
    ("/demo/publish.js", JAVASCRIPT, include_str!("publish.js")),
    ("/demo/transports.js", JAVASCRIPT, include_str!("transports.js")),
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
