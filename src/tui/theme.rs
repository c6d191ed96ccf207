//! Colours by meaning. Only the terminal's own 16 colours are used, so that a theme fits the palette of whoever
//! looks; text stays in the terminal's own colour. Colour is never the only sign: every state has a glyph and a word.

use ratatui::style::{Color, Modifier, Style};

use crate::event::Severity;

/// Which theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ThemeChoice {
    /// `NO_COLOR` → mono; else `COLORFGBG` tells light from dark; else dark.
    #[default]
    Auto,
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// No colour is ever set.
    Mono,
}

/// The styles in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// The theme's name.
    pub name: &'static str,
    /// Less important text.
    pub dim: Style,
    /// Titles and names of columns.
    pub title: Style,
    /// The current row.
    pub selected: Style,
    /// What can be pressed.
    pub key: Style,
    /// It is well.
    pub good: Style,
    /// It needs a look.
    pub warn: Style,
    /// It is broken.
    pub bad: Style,
    /// Worth noticing, neither good nor bad.
    pub accent: Style,
    /// Lines between parts.
    pub line: Style,
    /// A found place.
    pub found: Style,
}

const fn fg(color: Color) -> Style {
    Style::new().fg(color)
}

/// For a dark background.
pub const DARK: Theme = Theme {
    name: "dark",
    dim: fg(Color::Gray),
    title: fg(Color::Cyan).add_modifier(Modifier::BOLD),
    selected: fg(Color::Reset).add_modifier(Modifier::REVERSED),
    key: fg(Color::LightCyan),
    good: fg(Color::LightGreen),
    warn: fg(Color::LightYellow),
    bad: fg(Color::LightRed).add_modifier(Modifier::BOLD),
    accent: fg(Color::LightMagenta),
    line: fg(Color::DarkGray),
    found: fg(Color::LightYellow).add_modifier(Modifier::UNDERLINED),
};

/// For a light background: none of the bright colours, none of the yellows.
pub const LIGHT: Theme = Theme {
    name: "light",
    dim: fg(Color::DarkGray),
    title: fg(Color::Blue).add_modifier(Modifier::BOLD),
    selected: fg(Color::Reset).add_modifier(Modifier::REVERSED),
    key: fg(Color::Blue),
    good: fg(Color::Green).add_modifier(Modifier::BOLD),
    warn: fg(Color::Magenta),
    bad: fg(Color::Red).add_modifier(Modifier::BOLD),
    accent: fg(Color::Blue),
    line: fg(Color::DarkGray),
    found: fg(Color::Magenta).add_modifier(Modifier::UNDERLINED),
};

/// No colour at all: weight, reverse and underline only.
pub const MONO: Theme = Theme {
    name: "mono",
    dim: Style::new().add_modifier(Modifier::DIM),
    title: Style::new().add_modifier(Modifier::BOLD),
    selected: Style::new().add_modifier(Modifier::REVERSED),
    key: Style::new().add_modifier(Modifier::BOLD),
    good: Style::new(),
    warn: Style::new().add_modifier(Modifier::BOLD),
    bad: Style::new().add_modifier(Modifier::BOLD).add_modifier(Modifier::UNDERLINED),
    accent: Style::new().add_modifier(Modifier::BOLD),
    line: Style::new().add_modifier(Modifier::DIM),
    found: Style::new().add_modifier(Modifier::UNDERLINED),
};

impl ThemeChoice {
    /// By its word in the configuration.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(ThemeChoice::Auto),
            "dark" => Some(ThemeChoice::Dark),
            "light" => Some(ThemeChoice::Light),
            "mono" => Some(ThemeChoice::Mono),
            _ => None,
        }
    }

    /// The theme, given the environment's `NO_COLOR` and `COLORFGBG`.
    pub fn resolve(self, no_color: Option<&str>, colorfgbg: Option<&str>) -> Theme {
        match self {
            ThemeChoice::Dark => DARK,
            ThemeChoice::Light => LIGHT,
            ThemeChoice::Mono => MONO,
            // https://no-color.org: set and not empty.
            ThemeChoice::Auto if no_color.is_some_and(|v| !v.is_empty()) => MONO,
            ThemeChoice::Auto => {
                // "fg;bg" or "fg;default;bg"; 7 and 9 to 15 are light backgrounds.
                let background =
                    colorfgbg.and_then(|v| v.rsplit(';').next()).and_then(|b| b.parse::<u8>().ok());
                if matches!(background, Some(7 | 9..=15)) { LIGHT } else { DARK }
            }
        }
    }
}

impl Theme {
    /// The style of a severity's glyph and word.
    pub fn severity(&self, severity: Severity) -> Style {
        match severity {
            Severity::Critical | Severity::High => self.bad,
            Severity::Medium => self.warn,
            Severity::Low | Severity::Info => self.dim,
        }
    }
}

/// The sign of a severity: readable without colour.
pub fn glyph(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "✖",
        Severity::High => "!",
        Severity::Medium => "▲",
        Severity::Low => "•",
        Severity::Info => "·",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(theme: &Theme) -> Vec<Style> {
        let Theme { name: _, dim, title, selected, key, good, warn, bad, accent, line, found } = *theme;
        vec![dim, title, selected, key, good, warn, bad, accent, line, found]
    }

    #[test]
    fn mono_sets_no_colour_and_light_none_that_is_pale() {
        assert!(all(&MONO).iter().all(|s| s.fg.is_none() && s.bg.is_none()));
        let pale = [
            Color::White,
            Color::Gray,
            Color::Yellow,
            Color::LightYellow,
            Color::LightCyan,
            Color::LightGreen,
            Color::Cyan,
        ];
        assert!(all(&LIGHT).iter().all(|s| s.fg.is_none_or(|c| !pale.contains(&c))));
        let dark = [Color::Black, Color::Blue, Color::Red];
        assert!(all(&DARK).iter().all(|s| s.fg.is_none_or(|c| !dark.contains(&c))));
        for theme in [DARK, LIGHT, MONO] {
            assert!(theme.selected.add_modifier.contains(Modifier::REVERSED), "{}", theme.name);
        }
    }

    #[test]
    fn the_environment_chooses() {
        assert_eq!(ThemeChoice::Auto.resolve(Some("1"), None), MONO);
        assert_eq!(ThemeChoice::Auto.resolve(Some(""), Some("0;15")), LIGHT);
        assert_eq!(ThemeChoice::Auto.resolve(None, Some("15;0")), DARK);
        assert_eq!(ThemeChoice::Light.resolve(Some("1"), None), LIGHT);
    }
}
