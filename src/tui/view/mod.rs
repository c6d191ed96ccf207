//! Draws the model: header, tabs, filter, the screen, the footer, and what lies over it. Changes nothing but scroll
//! offsets and the note of what moves by itself.

mod footer;
pub mod header;

use ratatui::{Frame, layout::Rect, style::Style};

use super::{
    model::{Model, SMALLEST, fits},
    text,
    widgets::paint,
};

/// One frame.
pub fn view(model: &mut Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    model.shared.moving.set(false);
    if !fits((area.width, area.height)) {
        too_small(model, frame, area);
        return;
    }
    let zoomed = model.shared.zoom;
    let row = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
    let head = header::Head::new(&model.shared, area.width);
    header::line(&head, frame.buffer_mut(), row(0, 1), &model.shared.theme);
    let mut top = 1;
    if !zoomed {
        header::tabs(model, &head, frame.buffer_mut(), row(1, 1));
        top = 2;
    }
    for line in header::trouble(&model.shared, area.width.into()) {
        paint::pieces(frame.buffer_mut(), row(top, 1), 0, &[(&line, model.shared.theme.bad)]);
        top += 1;
    }
    top += header::filter(model, frame, row(top, 5));
    let below = footer::height(model, area.width);
    let body = row(top, area.height.saturating_sub(top + below));
    let current = model.current;
    if let Some(pane) = model.panes.get_mut(current) {
        pane.view(frame, body, &model.shared);
    }
    for overlay in &mut model.overlays {
        overlay.view(frame, body, &model.shared);
    }
    footer::view(model, frame.buffer_mut(), row(area.height - below, below));
}

fn too_small(model: &Model, frame: &mut Frame<'_>, area: Rect) {
    let shared = &model.shared;
    let (width, height) = SMALLEST;
    let lines = [
        format!("terminal is {}x{}, needs {width}x{height}", area.width, area.height),
        format!(
            "still watching: {:.0} ev/s · {} open incidents",
            shared.rate.per_second(shared.now),
            shared.open_incidents
        ),
        "enlarge it, or q to quit".to_owned(),
    ];
    for (y, line) in lines.iter().enumerate() {
        paint::pieces(
            frame.buffer_mut(),
            area,
            y as u16,
            &[(&text::cut(line, area.width.into()), Style::new())],
        );
    }
    if let Some(overlay) = model.overlays.last() {
        paint::pieces(frame.buffer_mut(), area, 3, &[(&overlay.keys(), shared.theme.key)]);
    }
}
