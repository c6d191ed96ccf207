//! Parts that panes and overlays are made of.

pub mod cursor;
pub mod editor;
pub mod paint;
pub mod strip;
pub mod window;
