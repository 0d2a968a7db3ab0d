//! Writes SVG. The colours follow the reader's choice of light or dark.

use std::fmt::Write as _;

const STYLE: &str = "\
svg{font-family:ui-sans-serif,system-ui,Helvetica,Arial,sans-serif;font-size:13px}
.page{fill:#ffffff}text{fill:#1f2328}.soft{fill:#59636e}.head{font-weight:600}
.code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12px}
.line{stroke:#d1d9e0}.arrow{stroke:#0550ae;fill:none;stroke-width:1.6}.tip,.dot{fill:#0550ae}
.band0{fill:#ddf4ff}.band1{fill:#dafbe1}.band2{fill:#fff8c5}.band3{fill:#eaeef2}.box{fill:#f6f8fa;stroke:#818b98}
@media(prefers-color-scheme:dark){
.page{fill:#0d1117}text{fill:#e6edf3}.soft{fill:#9198a1}.line{stroke:#3d444d}
.arrow{stroke:#79c0ff}.tip,.dot{fill:#79c0ff}
.band0{fill:#0c2d6b}.band1{fill:#033a16}.band2{fill:#4b2900}.band3{fill:#2a313c}.box{fill:#151b23;stroke:#656c76}}
";

/// A drawing. Positions and lengths are in pixels.
pub(crate) struct Drawing {
    width: u32,
    height: u32,
    title: String,
    body: String,
}

impl Drawing {
    /// `title` is what a screen reader tells.
    pub(crate) fn new(width: u32, height: u32, title: &str) -> Drawing {
        Drawing { width, height, title: title.into(), body: String::new() }
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("writing to a string");
    }

    pub(crate) fn rect(&mut self, class: &str, (x, y): (u32, u32), (width, height): (u32, u32)) {
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\"/>"
        ));
    }

    /// `anchor` is `start`, `middle` or `end`.
    pub(crate) fn text(&mut self, class: &str, anchor: &str, (x, y): (u32, u32), text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.push(format_args!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x}\" y=\"{y}\">{text}</text>"
        ));
    }

    pub(crate) fn line(&mut self, (x1, y1): (u32, u32), (x2, y2): (u32, u32)) {
        self.push(format_args!(
            "<line class=\"line\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    pub(crate) fn dot(&mut self, (x, y): (u32, u32)) {
        self.push(format_args!("<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>"));
    }

    /// An arrow through the points, with its tip at the last one.
    pub(crate) fn arrow(&mut self, points: &[(u32, u32)]) {
        let [.., (px, py), (x, y)] = *points else { panic!("an arrow has two ends") };
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        self.push(format_args!("<polyline class=\"arrow\" points=\"{}\"/>", path.join(" ")));
        let (dx, dy) =
            ((i64::from(x) - i64::from(px)).signum(), (i64::from(y) - i64::from(py)).signum());
        // The tip is a triangle of 8 pixels along the last line, which is horizontal or vertical.
        let (x, y) = (i64::from(x), i64::from(y));
        let (bx, by) = (x - 8 * dx, y - 8 * dy);
        self.push(format_args!(
            "<polygon class=\"tip\" points=\"{x},{y} {},{} {},{}\"/>",
            bx + 5 * dy,
            by + 5 * dx,
            bx - 5 * dy,
            by - 5 * dx
        ));
    }

    pub(crate) fn finish(self) -> String {
        let Drawing { width, height, title, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>\n{STYLE}</style>\n\
             <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
        )
    }
}
