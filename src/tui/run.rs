//! The loop: waits for whatever comes first, updates, draws once per drained batch. At once on a key, else at most
//! 30 times a second, and not at all when nothing changed.

use std::{collections::VecDeque, io, time::Duration};

use crossterm::{
    event::EventStream,
    execute, queue,
    terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate},
};
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{FuturesUnordered, SelectAll, select_all},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, MissedTickBehavior},
};

use super::{
    effect::{About, Effect},
    guard::{self, Guard},
    input,
    keymap::Keymap,
    model::{Level, Model},
    msg::Msg,
    options::{Ask, Clock, Error, Exit, Link, Options},
    paper::{Canvas, canvas},
    session::Session,
    source::Source,
    update, view,
};
use crate::feed::{self, Feed, Reply};

/// The shortest time between two frames that no key asked for.
const FRAME: Duration = Duration::from_millis(34);
/// Feed items that are taken before keys are looked at again: a frame's worth in a storm.
const BATCH: usize = 512;
/// How long the feed is left alone after a batch. Whoever waits for it is woken by every item that comes: a thousand
/// times a second in a storm, for frames that are further apart. Its capacity bounds it: that many items must not come
/// within this time.
const REST: Duration = Duration::from_millis(10);
/// Answers of the workers that wait: they stop reading when the screen does not keep up.
const ANSWERS: usize = 64;
/// How often a process in the background looks whether the terminal is its own again.
const BEHIND: Duration = Duration::from_millis(200);
/// How long an answer of the engine is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Shows the dashboard until somebody quits or `link.stop` is cancelled. The terminal is restored when this returns,
/// and on a panic before its message is printed. Ctrl-c is a key here, SIGTERM and SIGHUP are `app`'s, which cancels
/// `stop`; SIGTSTP and SIGCONT are taken here.
///
/// # Errors
/// There is no terminal, or the configured keys conflict. Dropping the future restores the terminal too.
pub async fn run(link: Link, options: Options, clock: Clock) -> Result<Exit, Error> {
    let keymap = Keymap::new(&options.keys).map_err(Error::Keys)?;
    let env = |key: &str| std::env::var(key).ok();
    let theme = options.theme.resolve(env("NO_COLOR").as_deref(), env("COLORFGBG").as_deref());
    let (answers, inbox) = mpsc::channel(ANSWERS);
    let source = Source::start(&link.pages, options.log_file.as_ref(), &answers)?;
    let mut model = Model::new(&options, keymap, theme, clock());
    if let Some(session) = options.session_file.as_deref().and_then(Session::load) {
        session.restore(&mut model);
    }
    let guard = Guard::take()?;
    let terminal = canvas()?;
    let mut screen = Screen {
        terminal,
        guard,
        model,
        clock,
        source,
        actions: link.actions,
        replies: FuturesUnordered::new(),
        last_frame: None,
        keys: Some(keys()),
        behind: false,
    };
    if let Ok(size) = screen.terminal.size() {
        screen.model.shared.size = (size.width, size.height);
    }
    let exit = screen.go(link.feed, inbox, link.stop).await;
    options.said.keep(&screen.model.shared.messages);
    if let Some(path) = &options.session_file
        && let Err(error) = Session::of(&screen.model).save(path)
    {
        tracing::warn!(path = %path.display(), %error, "the session is not kept");
    }
    match exit {
        Ok(Exit::Stopped) if screen.is_lost() => Err(Error::Fault),
        // The window was closed or the connection lost: there is nobody left to be told of it.
        Err(error) => {
            tracing::info!(%error, "the terminal is gone");
            Ok(Exit::Stopped)
        }
        Ok(exit) => Ok(exit),
    }
}

struct Screen {
    terminal: Canvas,
    guard: Guard,
    model: Model,
    clock: Clock,
    source: Source,
    actions: mpsc::Sender<Ask>,
    replies: FuturesUnordered<BoxFuture<'static, Msg>>,
    last_frame: Option<Instant>,
    /// The one reader of the terminal; none while the terminal is not ours: reading from the background would stop us.
    keys: Option<Keys>,
    /// Continued behind another program: the terminal is not ours until the shell gives it back.
    behind: bool,
}

/// The signals of job control.
#[cfg(unix)]
struct Jobs {
    stop: tokio::signal::unix::Signal,
    resume: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Jobs {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            stop: signal(SignalKind::from_raw(signal_hook::consts::SIGTSTP))?,
            resume: signal(SignalKind::from_raw(signal_hook::consts::SIGCONT))?,
        })
    }

    /// True: stop now. False: continued after somebody stopped us without asking.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.stop.recv() => true,
            _ = self.resume.recv() => false,
        }
    }
}

#[cfg(not(unix))]
struct Jobs;

#[cfg(not(unix))]
impl Jobs {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> bool {
        std::future::pending().await
    }
}

impl Screen {
    async fn go(
        &mut self,
        mut feed: broadcast::Receiver<Feed>,
        mut inbox: mpsc::Receiver<Msg>,
        stop: tokio_util::sync::CancellationToken,
    ) -> io::Result<Exit> {
        let mut jobs = Jobs::new()?;
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut feed_open = true;
        let mut rested = Instant::now();
        self.draw()?;
        let effects = update::start(&mut self.model);
        if let Some(exit) = self.effects(effects)? {
            return Ok(exit);
        }
        loop {
            let due = self.due();
            let (msg, urgent) = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Exit::Stopped),
                event = next_key(&mut self.keys) => match event {
                    Some(Ok(event)) => match input::message(event) {
                        Some(msg) => (msg, true),
                        None => continue,
                    },
                    // The terminal is gone: a closed window, a lost connection.
                    Some(Err(error)) => return Err(error),
                    None => return Ok(Exit::Stopped),
                },
                stopping = jobs.next() => {
                    if stopping { self.suspend()? } else { self.resume()? }
                    continue;
                }
                () = tokio::time::sleep(BEHIND), if self.behind => {
                    self.resume()?;
                    continue;
                }
                () = sleep_until(due) => {
                    self.draw()?;
                    continue;
                }
                Some(msg) = inbox.recv() => (msg, false),
                Some(msg) = self.replies.next(), if !self.replies.is_empty() => (msg, false),
                item = next_item(&mut feed, rested), if feed_open => {
                    let msg = batch(item, &mut feed, &mut feed_open);
                    // A full batch has left something behind.
                    let all = matches!(&msg, Msg::Feed(items) if items.len() < BATCH);
                    rested = Instant::now() + if all { REST } else { Duration::ZERO };
                    (msg, false)
                }
                // The message of a panic elsewhere stands where the screen was: nothing can be shown or asked any more.
                // Whoever knows its cause has had time to end us.
                _ = tick.tick() => {
                    if self.is_lost() {
                        return Ok(Exit::Stopped);
                    }
                    (Msg::Tick, false)
                }
            };
            let now = (self.clock)();
            let effects = update::update(&mut self.model, msg, now);
            if let Some(exit) = self.effects(effects)? {
                return Ok(exit);
            }
            if urgent && self.model.shared.dirty && !self.behind {
                self.draw()?;
            }
        }
    }

    /// A panic of another thread has given the terminal back.
    fn is_lost(&self) -> bool {
        !self.behind && !self.guard.holds()
    }

    /// When the next frame is to be drawn, if one is.
    fn due(&self) -> Option<Instant> {
        (self.model.shared.dirty && !self.behind)
            .then(|| self.last_frame.map_or_else(Instant::now, |at| at + FRAME))
    }

    fn draw(&mut self) -> io::Result<()> {
        self.model.shared.dirty = false;
        if !self.guard.holds() {
            return Ok(());
        }
        self.model.shared.now = (self.clock)();
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::view(&mut self.model, frame))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        self.last_frame = Some(Instant::now());
        Ok(())
    }

    fn effects(&mut self, effects: Vec<Effect>) -> io::Result<Option<Exit>> {
        let mut todo: VecDeque<Effect> = effects.into();
        while let Some(effect) = todo.pop_front() {
            match effect {
                Effect::Query(query) => {
                    if let Err(query) = self.source.ask(query) {
                        let now = (self.clock)();
                        todo.extend(update::update(&mut self.model, Msg::LeftOut(query), now));
                    }
                }
                Effect::Act { action, about } => self.act(action, about),
                Effect::Copy(text) => {
                    let result = input::copy(&text, &|key| std::env::var(key).ok());
                    let now = (self.clock)();
                    todo.extend(update::update(&mut self.model, Msg::Copied(result), now));
                }
                Effect::Suspend => self.suspend()?,
                Effect::Redraw => self.resume()?,
                Effect::Mouse(on) => self.guard.mouse(on)?,
                Effect::Quit(exit) => return Ok(Some(exit)),
                // `update` keeps these to itself.
                Effect::Go { .. } | Effect::Show(_) => {}
            }
        }
        Ok(None)
    }

    fn act(&mut self, action: feed::Action, about: About) {
        let actions = self.actions.clone();
        self.replies.push(
            async move {
                let (reply, answer) = oneshot::channel();
                let asked = async {
                    actions.send(Ask { action, reply }).await.ok()?;
                    answer.await.ok()
                };
                let gone = || Reply::Failed("the engine has stopped".into());
                let slow = || Reply::Failed(format!("no answer within {} s; try again", PATIENCE.as_secs()));
                let reply = match tokio::time::timeout(PATIENCE, asked).await {
                    Ok(reply) => reply.unwrap_or_else(gone),
                    Err(_) => slow(),
                };
                Msg::Replied { about, reply }
            }
            .boxed(),
        );
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.keys = None;
        self.guard.leave();
        // Returns when the process is continued.
        let stopped = guard::stop_process();
        self.resume()?;
        if let Err(error) = stopped {
            self.model.shared.say(Level::Bad, error.to_string());
        }
        Ok(())
    }

    /// Takes the terminal (again) and draws everything anew. In the background it waits: whoever touches the terminal
    /// from there is stopped, and could not even end.
    fn resume(&mut self) -> io::Result<()> {
        self.behind = !self.guard.in_foreground();
        if self.behind {
            self.keys = None;
            return Ok(());
        }
        self.keys.get_or_insert_with(keys);
        self.guard.enter()?;
        self.guard.mouse(self.model.shared.mouse)?;
        execute!(io::stdout(), Clear(ClearType::All))?;
        // Ratatui's own `clear` would ask the terminal for its cursor, and wait for an answer that some never give.
        self.terminal = canvas()?;
        if let Ok(size) = self.terminal.size() {
            self.model.shared.size = (size.width, size.height);
        }
        self.draw()
    }
}

/// The terminal's events. A selection of one: it asks the stream only when that has woken us. Asked at each turn of the
/// loop, crossterm contends with its own reading thread for a lock and gives the core away several times meanwhile:
/// milliseconds each, when others want it.
type Keys = SelectAll<EventStream>;

fn keys() -> Keys {
    select_all([EventStream::new()])
}

async fn next_key(keys: &mut Option<Keys>) -> Option<io::Result<crossterm::event::Event>> {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The next of the feed, not before then. Cancel safe.
async fn next_item(
    feed: &mut broadcast::Receiver<Feed>,
    after: Instant,
) -> Result<Feed, broadcast::error::RecvError> {
    tokio::time::sleep_until(after).await;
    feed.recv().await
}

/// What waits in the feed, up to a batch.
fn batch(
    first: Result<Feed, broadcast::error::RecvError>,
    feed: &mut broadcast::Receiver<Feed>,
    open: &mut bool,
) -> Msg {
    let mut items = Vec::new();
    match first {
        Ok(item) => items.push(item),
        Err(broadcast::error::RecvError::Lagged(missed)) => items.push(Feed::Lagged { missed }),
        Err(broadcast::error::RecvError::Closed) => {
            *open = false;
            return Msg::EngineGone;
        }
    }
    while items.len() < BATCH {
        match feed.try_recv() {
            Ok(item) => items.push(item),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => items.push(Feed::Lagged { missed }),
            // An end is told by the next recv.
            Err(_) => break,
        }
    }
    Msg::Feed(items)
}
