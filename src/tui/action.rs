//! Everything a key or the palette can do, by name. The names are what a configuration remaps.

macro_rules! actions {
    ($($variant:ident $name:literal,)*) => {
        /// A thing to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Action { $($variant,)* }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Action] = &[$(Action::$variant,)*];

            /// Its name in the configuration and in the palette.
            pub const fn name(self) -> &'static str {
                match self { $(Action::$variant => $name,)* }
            }
        }
    };
}

actions! {
    Down "down",
    Up "up",
    HalfDown "half-page-down",
    HalfUp "half-page-up",
    PageDown "page-down",
    PageUp "page-up",
    Left "left",
    Right "right",
    Top "newest",
    Bottom "oldest",
    Open "open",
    Back "back",
    Close "close",
    Quit "quit",
    Interrupt "interrupt",
    Screen1 "incidents",
    Screen2 "stream",
    Screen6 "connectors",
    Screen7 "deliveries",
    Screen8 "health",
    NextPart "next-part",
    PreviousPart "previous-part",
    Palette "palette",
    Help "help",
    MoreKeys "more-keys",
    Filter "filter",
    NextMatch "next-match",
    PreviousMatch "previous-match",
    Follow "follow",
    NextWarning "next-warning",
    PreviousWarning "previous-warning",
    WarningsOnly "warnings-only",
    Scope "scope",
    AllNamespaces "all-namespaces",
    TimeRange "time-range",
    AbsoluteTimes "absolute-times",
    Sort "sort",
    ReverseSort "reverse-sort",
    Columns "columns",
    Describe "describe",
    Manifest "manifest",
    Owner "owner",
    Toggle "toggle",
    Test "test",
    Retry "retry",
    Purge "purge",
    Copy "copy",
    Zoom "zoom",
    Refresh "refresh",
    Reread "read-again",
    Relist "relist",
    Mouse "mouse",
    Suspend "suspend",
    Redraw "redraw",
    Messages "messages",
    Logs "logs",
    ThemeDark "theme-dark",
    ThemeLight "theme-light",
    ThemeMono "theme-mono",
    Reload "reload",
    TakeOver "take-over",
}

impl Action {
    /// By its name.
    pub fn parse(name: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|a| a.name() == name)
    }
}
